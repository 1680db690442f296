#include "annkit/math/tridiagonal_form.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <utility>

#include "annkit/core/crew.h"

namespace annkit {
namespace {

// Numbers of the triangle that are worth a task, and tasks of a pass: as many whatever the threads, as each has sums of
// its own.
constexpr size_t kTaskSize = 8192, kMostTasks = 16;

using Four = double __attribute__((vector_size(32)));  // of whatever registers there are
[[gnu::always_inline]] inline Four load(const double* from) {
    Four out;
    std::memcpy(&out, from, sizeof out);
    return out;
}
[[gnu::always_inline]] inline Four four(double x) { return Four{x, x, x, x}; }

// What a pass reads: the last reflection takes v w^T + w v^T away, the next one wants the product with x.
struct Vectors {
    const double *v, *w, *x;
};

// kColumns columns from c on, whose rows before `from` are done: y gets their part of A x.
template <size_t kColumns>
void pass_columns(double* a, size_t n, size_t c, size_t from, const Vectors& in, double* y) {
    const double *v = in.v, *w = in.w, *x = in.x;
    double* column[kColumns];
    Four own_v[kColumns], own_w[kColumns], own_x[kColumns], sums[kColumns] = {};
    for (size_t k = 0; k < kColumns; ++k) {
        column[k] = a + (c + k) * n;
        own_v[k] = four(v[c + k]), own_w[k] = four(w[c + k]), own_x[k] = four(x[c + k]);
    }
    size_t r = from;
    for (; r + 4 <= n; r += 4) {
        const Four row_v = load(v + r), row_w = load(w + r), row_x = load(x + r);
        Four sum = load(y + r);
        for (size_t k = 0; k < kColumns; ++k) {
            const Four value = load(column[k] + r) - (row_v * own_w[k] + row_w * own_v[k]);
            std::memcpy(column[k] + r, &value, sizeof value);
            sum += value * own_x[k];
            sums[k] += value * row_x;
        }
        std::memcpy(y + r, &sum, sizeof sum);
    }
    for (size_t k = 0; k < kColumns; ++k) {
        double sum = (sums[k][0] + sums[k][1]) + (sums[k][2] + sums[k][3]);
        for (size_t row = r; row < n; ++row) {
            const double value = column[k][row] -= v[row] * w[c + k] + w[row] * v[c + k];
            y[row] += value * x[c + k];
            sum += value * x[row];
        }
        y[c + k] += sum;
    }
}

// The lower half of columns first to last: A -= v w^T + w v^T, and y += A x, in one pass over A.
void pass(double* a, size_t n, size_t first, size_t last, const Vectors& in, double* y) {
    constexpr size_t kColumns = 4;
    size_t c = first;
    for (; c + kColumns <= last; c += kColumns) {
        for (size_t k = c; k < c + kColumns; ++k)  // the triangle on the diagonal
            for (size_t r = k; r < c + kColumns; ++r) {
                const double value = a[k * n + r] -= in.v[r] * in.w[k] + in.w[r] * in.v[k];
                y[r] += value * in.x[k];
                if (r > k) y[k] += value * in.x[r];
            }
        pass_columns<kColumns>(a, n, c, c + kColumns, in, y);
    }
    for (; c < last; ++c) {
        const double value = a[c * n + c] -= 2 * in.v[c] * in.w[c];
        y[c] += value * in.x[c];
        pass_columns<1>(a, n, c, c + 1, in, y);
    }
}

// Column by column: a reflection takes all below the next row to zero (Householder). Its product with what is left of
// the matrix is found while the last reflection is carried out, so each step reads the matrix once (Howell et al.:
// Cache efficient bidiagonalization using BLAS 2.5 operators, ACM TOMS 2008, the same for two sides).
class Reduction {
  public:
    Reduction(std::vector<double> a, size_t n)
        : a_(std::move(a)), n_(n), diagonal_(n), next_to_(n - 1), scales_(n - 1), v_(n), w_(n), x_(n), y_(n) {
        parts_.resize(kMostTasks * n);
    }

    void run(Crew& crew) {
        for (size_t i = 0; i + 1 < n_; ++i) {
            double* column = &a_[i * n_];
            for (size_t r = i; r < n_; ++r) column[r] -= v_[r] * w_[i] + w_[r] * v_[i];
            diagonal_[i] = column[i];
            reflect(i);
            multiply(i + 1, crew);
            finish(i + 1, scales_[i]);
        }
        diagonal_[n_ - 1] = a_[n_ * n_ - 1] - 2 * v_[n_ - 1] * w_[n_ - 1];
    }

    TridiagonalForm result() && {
        return {std::move(diagonal_), std::move(next_to_), std::move(a_), std::move(scales_)};
    }

  private:
    void reflect(size_t i) {
        double *column = &a_[i * n_], first = column[i + 1], rest = 0;
        for (size_t r = i + 2; r < n_; ++r) rest += column[r] * column[r];
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
        const Vectors in{v_.data(), w_.data(), x_.data()};
        crew.run(tasks, [&](size_t task) {
            double* y = task == 0 ? y_.data() : &parts_[task * n_];
            std::fill(y + starts[task], y + n_, 0.0);
            pass(a_.data(), n_, starts[task], starts[task + 1], in, y);
        });
        for (size_t task = 1; task < tasks; ++task)
            for (size_t r = starts[task]; r < n_; ++r) y_[r] += parts_[task * n_ + r];
    }

    // v = x, and w such that (I - scale v v^T) A (I - scale v v^T) = A - v w^T - w v^T.
    void finish(size_t first, double scale) {
        double dot = 0;
        for (size_t r = first; r < n_; ++r) dot += y_[r] * x_[r];
        const double half = 0.5 * scale * scale * dot;
        for (size_t r = first; r < n_; ++r) w_[r] = scale * y_[r] - half * x_[r];
        v_.swap(x_);
    }

    std::vector<double> a_;
    size_t n_;
    std::vector<double> diagonal_, next_to_, scales_, v_, w_, x_, y_, parts_;
};

}  // namespace

TridiagonalForm tridiagonal_form(std::vector<double> a, size_t n, const Call& call) {
    Reduction reduction(std::move(a), n);
    const double work = 1.0 / 3 * double(n) * double(n) * double(n);
    with_crew(n * n / 2 > kTaskSize ? threads_for(call, work) : 1, call, [&](Crew& crew) { reduction.run(crew); });
    return std::move(reduction).result();
}

}  // namespace annkit
