#include "annkit/math/polar.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/crew.h"
#include "annkit/core/errors.h"
#include "annkit/math/product.h"

namespace annkit {
namespace {

// Of X, n x m: a step is X <- (stretch / 2) (3 I - stretch^2 X X^T) X. Strides are padded, so that products need no
// copies.
class NewtonSchulz {
  public:
    NewtonSchulz(const std::vector<float>& x, size_t n, size_t m, double scale, int threads)
        : n_(n),
          m_(m),
          stride_(padded_stride(m)),
          gram_stride_(padded_stride(n)),
          rows_a_task_(rows_of_task(n, threads)),
          x_(n * stride_),
          gram_(n * gram_stride_),
          squares_(n),
          across_(n, m),
          down_(m, n) {
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < m; ++j) x_[i * stride_ + j] = float(double(x[i * m + j]) * scale);
    }

    // Returns the sum of the squares of X's singular values, as they were before.
    double step(double stretch, Crew& crew) {
        crew.run(across_.panels() + down_.panels(), [&](size_t task) {
            if (task < across_.panels())
                across_.pack(task, x_.data(), stride_);
            else
                down_.pack_transposed(task - across_.panels(), x_.data(), stride_);
        });
        each_row_block(crew, [&](size_t first, size_t count) {
            float* gram = &gram_[first * gram_stride_];
            across_.multiply(&x_[first * stride_], stride_, count, gram, gram_stride_);
            for (size_t i = first; i < first + count; ++i, gram += gram_stride_) {
                squares_[i] = double(gram[i]);
                for (size_t j = 0; j < n_; ++j) gram[j] *= float(-0.5 * stretch * stretch * stretch);
                gram[i] += float(1.5 * stretch);
            }
        });
        each_row_block(crew, [&](size_t first, size_t count) {
            down_.multiply(&gram_[first * gram_stride_], gram_stride_, count, &x_[first * stride_], stride_);
        });
        double squares = 0;
        for (double one : squares_) squares += one;
        return squares;
    }

    std::vector<float> result() const {
        std::vector<float> out;
        out.reserve(n_ * m_);
        for (size_t i = 0; i < n_; ++i) out.insert(out.end(), &x_[i * stride_], &x_[i * stride_] + m_);
        return out;
    }

  private:
    template <class Body>
    void each_row_block(Crew& crew, const Body& body) {
        crew.run((n_ + rows_a_task_ - 1) / rows_a_task_, [&](size_t task) {
            const size_t first = task * rows_a_task_;
            body(first, std::min(rows_a_task_, n_ - first));
        });
    }

    size_t n_, m_, stride_, gram_stride_, rows_a_task_;
    std::vector<float> x_, gram_;
    std::vector<double> squares_;
    PackedMatrix across_, down_;  // X made ready for X X^T, and for products with X
};

}  // namespace

// Newton and Schulz: X <- (3 I - X X^T) X / 2 takes singular values of (0, sqrt 3) to 1, the small ones slowly. Until
// they are there, X is stretched first such that the images of the smallest and the largest meet (Chen and Chow: A
// stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian matrix, 2014).
std::vector<float> polar_factor(const std::vector<float>& x, size_t n, size_t m, double least, const Call& call) {
    check(x.size() == n * m && n > 0 && m > 0, "got ", x.size(), " values for a matrix of ", n, " x ", m);
    double norm2 = 0;
    for (float value : x) norm2 += double(value) * double(value);
    check(std::isfinite(norm2), "the matrix has NaN or infinite values, expected finite ones");
    // A singular value may have been below least: then the squares of all do not sum up to how many they are, and
    // further steps bring it there, by half of itself each at first.
    constexpr int kMostFurther = 40;
    const double ones = double(std::min(n, m)), slack = 1e-5 * ones + 1e-4;
    // So many products follow each other at least, for which threads are woken once.
    constexpr double kAwake = 4;
    const int threads = threads_for(call, kAwake * double(n) * double(n) * double(m));
    NewtonSchulz steps(x, n, m, norm2 > 0 ? 1 / std::sqrt(norm2) : 0, threads);
    with_crew(threads, call, [&](Crew& crew) {
        bool last = false;
        for (int further = 0; !last && further < kMostFurther;) {
            const bool there = least > 0.999;
            const double stretch = there ? 1 : std::sqrt(3 / (1 + least + least * least));
            least = std::min(1.0, 0.5 * stretch * least * (3 - stretch * stretch * least * least));
            const double squares = steps.step(stretch, crew);
            last = there && std::abs(squares - ones) < slack;
            further += there;
        }
    });
    return steps.result();
}

}  // namespace annkit
