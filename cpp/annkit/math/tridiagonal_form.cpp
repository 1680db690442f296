#include "annkit/math/tridiagonal_form.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>

#include "annkit/core/crew.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Numbers of the triangle that are worth a task, and tasks of a pass: as many whatever the threads, as each has sums of
// its own.
constexpr size_t kTaskSize = 16'384, kMostTasks = 16;

double dot(const double* a, const double* b, size_t n) {
    double sum[8] = {};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t t = 0; t < 8; ++t) sum[t] += a[i + t] * b[i + t];
    for (; i < n; ++i) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// Column by column: a reflection takes all below the next row to zero (Householder). Its product with what is left of
// the matrix is found while the last reflection is carried out, so each step reads the matrix once (Howell et al.:
// Cache efficient bidiagonalization using BLAS 2.5 operators, ACM TOMS 2008, the same for two sides).
class Reduction {
  public:
    Reduction(std::vector<double> a, size_t n)
        : a_(std::move(a)),
          n_(n),
          stride_(TridiagonalForm::stride(n)),
          diagonal_(n),
          next_to_(n - 1),
          scales_(n - 1),
          v_(stride_),
          w_(stride_),
          x_(stride_),
          y_(kMostTasks * stride_) {}

    void run(Crew& crew) {
        for (size_t i = 0; i + 1 < n_; ++i) {
            double* column = &a_[i * stride_];
            for (size_t r = i; r < n_; ++r) column[r] -= v_[r] * w_[i] + w_[r] * v_[i];
            diagonal_[i] = column[i];
            reflect(i);
            multiply(i + 1, crew);
            finish(i + 1, scales_[i]);
        }
        diagonal_[n_ - 1] = a_[(n_ - 1) * stride_ + n_ - 1] - 2 * v_[n_ - 1] * w_[n_ - 1];
    }

    TridiagonalForm result() && {
        return {std::move(diagonal_), std::move(next_to_), std::move(a_), std::move(scales_)};
    }

  private:
    void reflect(size_t i) {
        double *column = &a_[i * stride_], first = column[i + 1];
        const double rest = dot(column + i + 2, column + i + 2, n_ - i - 2);
        const bool zero = rest <= DBL_MIN;
        const double norm = zero ? first : -std::copysign(std::sqrt(first * first + rest), first);
        scales_[i] = zero ? 0 : (norm - first) / norm;
        next_to_[i] = norm;
        column[i + 1] = 1;
        const double over = zero ? 0 : 1 / (first - norm);
        for (size_t r = i + 2; r < n_; ++r) column[r] *= over;
        std::copy(column + i + 1, column + n_, &x_[i + 1]);
    }

    // y = A x of what is left from row and column `first` on. Tasks have about as much of the triangle each.
    void multiply(size_t first, Crew& crew) {
        const size_t left = n_ - first, tasks = std::clamp<size_t>(left * left / 2 / kTaskSize, 1, kMostTasks);
        size_t starts[kMostTasks + 1];
        for (size_t task = 0; task <= tasks; ++task)
            starts[task] = n_ - size_t(double(left) * std::sqrt(1 - double(task) / double(tasks)));
        crew.run(tasks, [&](size_t task) {
            double* y = &y_[task * stride_];
            std::fill(y + starts[task], y + n_, 0.0);
            simd::kernels().reflect_columns(
                {a_.data(), stride_, n_, starts[task], starts[task + 1], v_.data(), w_.data(), x_.data(), y});
        });
        for (size_t task = 1; task < tasks; ++task)
            for (size_t r = starts[task]; r < n_; ++r) y_[r] += y_[task * stride_ + r];
    }

    // v = x, and w such that (I - scale v v^T) A (I - scale v v^T) = A - v w^T - w v^T.
    void finish(size_t first, double scale) {
        const double half = 0.5 * scale * scale * dot(&y_[first], &x_[first], n_ - first);
        for (size_t r = first; r < n_; ++r) w_[r] = scale * y_[r] - half * x_[r];
        v_.swap(x_);
    }

    std::vector<double> a_;
    size_t n_, stride_;
    std::vector<double> diagonal_, next_to_, scales_, v_, w_, x_;
    std::vector<double> y_;  // of each task
};

}  // namespace

size_t TridiagonalForm::stride(size_t n) {
    constexpr size_t kPadding = simd::kReflectionPadding;
    return (n + kPadding - 1) / kPadding * kPadding + kPadding;
}

TridiagonalForm tridiagonal_form(std::vector<double> a, size_t n, const Call& call) {
    Reduction reduction(std::move(a), n);
    const double work = 1.0 / 3 * double(n) * double(n) * double(n);
    with_crew(n * n / 2 >= 2 * kTaskSize ? threads_for(call, work) : 1, call, [&](Crew& crew) { reduction.run(crew); });
    return std::move(reduction).result();
}

}  // namespace annkit
