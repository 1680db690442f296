#include "annkit/math/polar.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/math/product.h"

namespace annkit {

// Newton and Schulz: X <- (3 I - X X^T) X / 2 takes singular values of (0, sqrt 3) to 1, the small ones slowly. Until
// they are there, X is stretched first such that the images of the smallest and the largest meet (Chen and Chow: A
// stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian matrix, 2014).
std::vector<float> polar_factor(std::vector<float> x, size_t n, size_t m, double least, const Call& call) {
    check(x.size() == n * m && n > 0 && m > 0, "got ", x.size(), " values for a matrix of ", n, " x ", m);
    double norm2 = 0;
    for (float value : x) norm2 += double(value) * double(value);
    check(std::isfinite(norm2), "the matrix has NaN or infinite values, expected finite ones");
    const double scale = norm2 > 0 ? 1 / std::sqrt(norm2) : 0;
    for (float& value : x) value = float(double(value) * scale);
    std::vector<float> gram(n * n), next(n * m);
    // A singular value may have been below least: then the squares of all do not sum up to how many they are, and
    // further steps bring it there, by half of itself each at first.
    constexpr int kMostFurther = 40;
    const double ones = double(std::min(n, m)), slack = 1e-5 * ones + 1e-4;
    // The threads of one product are awake still at the next.
    constexpr double kAwake = 4;
    const int threads = threads_for(call, kAwake * double(n) * double(n) * double(m));
    bool last = false;
    for (int further = 0; !last && further < kMostFurther;) {
        const bool there = least > 0.999;
        const double stretch = there ? 1 : std::sqrt(3 / (1 + least + least * least));
        least = std::min(1.0, 0.5 * stretch * least * (3 - stretch * stretch * least * least));
        multiply(x.data(), n, m, PackedMatrix::of(x.data(), n, m), gram.data(), threads, call);
        double squares = 0;
        for (size_t i = 0; i < n; ++i) squares += double(gram[i * n + i]);
        last = there && std::abs(squares - ones) < slack;
        further += there;
        for (float& value : gram) value *= float(-0.5 * stretch * stretch * stretch);
        for (size_t i = 0; i < n; ++i) gram[i * n + i] += float(1.5 * stretch);
        multiply(gram.data(), n, n, PackedMatrix::of_transposed(x.data(), n, m), next.data(), threads, call);
        x.swap(next);
    }
    return x;
}

}  // namespace annkit
