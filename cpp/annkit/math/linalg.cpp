#include "annkit/math/linalg.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "annkit/core/errors.h"
#include "annkit/math/tridiagonal.h"
#include "annkit/math/tridiagonal_all.h"
#include "annkit/math/tridiagonal_form.h"

namespace annkit {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const Matrix> view(std::span<const double> data, size_t rows, size_t cols) {
    check(data.size() == rows * cols && !data.empty(), "got ", data.size(), " values for a matrix of ", rows, " x ",
          cols);
    check(std::all_of(data.begin(), data.end(), [](double x) { return std::isfinite(x); }),
          "the matrix has NaN or infinite values, expected finite ones");
    return {data.data(), Eigen::Index(rows), Eigen::Index(cols)};
}

std::vector<double> flat(const Matrix& m) { return {m.data(), m.data() + m.size()}; }

// Up to this share of the vectors it is faster to find them one by one: of 784, a third take 0.76 of the time of all by
// one thread, and half of them as long, where values are near each other; less where they are not.
constexpr size_t kFew = 2;

// count vectors <- Q vectors, a strip of them a task. Of the unit vectors it takes the reflections up to their own.
void turn_back(const TridiagonalForm& form, std::vector<double>& vectors, size_t count, bool units, const Call& call) {
    constexpr size_t kStrip = 32;
    constexpr double kReflect = 4;  // other multiply-adds take a quarter of the time
    const size_t n = form.diagonal.size();
    const auto rows = Eigen::Index(n);
    const Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>> reflectors(
        form.reflectors.data(), rows, rows, Eigen::OuterStride<>(Eigen::Index(form.stride())));
    const Eigen::Map<const Eigen::VectorXd> scales(form.scales.data(), rows - 1);
    const int threads = threads_for(call, kReflect * double(n * n * count));
    parallel_blocks(count, kStrip, threads, call, [&](size_t first, size_t some) {
        const auto length = Eigen::Index(units ? first + some - 1 : n - 1);
        Eigen::Map<Eigen::MatrixXd> strip(&vectors[first * n], rows, Eigen::Index(some));
        strip.applyOnTheLeft(Eigen::householderSequence(reflectors, scales).setLength(length).setShift(1));
    });
}

// A pass over the matrix by threads: a number takes as long as so many multiply-adds.
constexpr double kOfNumber = 64;
constexpr size_t kRowsATask = 16;

// The largest magnitude on the diagonal or below; ValueError where the matrix is not finite.
double largest_of(std::span<const double> matrix, size_t n, const Call& call) {
    check(matrix.size() == n * n && n > 0, "got ", matrix.size(), " values for a matrix of ", n, " x ", n);
    std::vector<double> largest(n), off(n);  // off: zeros, or NaN
    parallel_blocks(n, kRowsATask, threads_for(call, kOfNumber * double(n * n)), call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i) {
            const double* row = &matrix[i * n];
            double most[4] = {}, zero[4] = {};  // so that none waits for the one before
            for (size_t j = 0; j < n; ++j) {
                zero[j % 4] += 0 * row[j];
                if (j <= i) most[j % 4] = std::max(most[j % 4], std::abs(row[j]));
            }
            largest[i] = *std::max_element(most, most + 4);
            off[i] = zero[0] + zero[1] + zero[2] + zero[3];
        }
    });
    check(std::all_of(off.begin(), off.end(), [](double x) { return x == 0; }),
          "the matrix has NaN or infinite values, expected finite ones");
    return *std::max_element(largest.begin(), largest.end());
}

// Of the matrix over scale, its rows and columns from the last to the first: rows of the lower half become columns of
// it.
TridiagonalForm form_of(std::span<const double> matrix, size_t n, double scale, const Call& call) {
    const size_t stride = TridiagonalForm::stride(n);
    std::vector<double> turned(n * stride);
    parallel_blocks(n, kRowsATask, threads_for(call, kOfNumber * double(n * n)), call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i)
            for (size_t j = 0; j <= i; ++j) turned[(n - 1 - i) * stride + n - 1 - j] = matrix[i * n + j] / scale;
    });
    return tridiagonal_form(std::move(turned), n, call);
}

std::optional<SymmetricEigen> few_largest(const TridiagonalForm& form, size_t wanted, const Call& call) {
    SymmetricEigen out{tridiagonal_values(form.diagonal, form.next_to, wanted, call), {}};
    auto vectors = tridiagonal_vectors(form.diagonal, form.next_to, out.values, call);
    if (!vectors) return std::nullopt;
    out.vectors = std::move(*vectors);
    turn_back(form, out.vectors, wanted, false, call);
    return out;
}

SymmetricEigen all(const TridiagonalForm& form, size_t wanted, const Call& call) {
    const size_t n = form.diagonal.size();
    std::vector<double> columns(n * n);
    for (size_t i = 0; i < n; ++i) columns[i * n + i] = 1;
    turn_back(form, columns, n, true, call);
    const auto values = tridiagonal_all(form.diagonal, form.next_to, columns, call);
    check(values.has_value(), "the eigenvalues of a ", n, " x ", n, " matrix did not converge");
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return (*values)[a] > (*values)[b]; });
    SymmetricEigen out;
    out.vectors.reserve(wanted * n);
    for (size_t i : std::span(order).first(wanted)) {
        out.values.push_back((*values)[i]);
        out.vectors.insert(out.vectors.end(), &columns[i * n], &columns[i * n] + n);
    }
    return out;
}

}  // namespace

SymmetricEigen symmetric_eigen(std::span<const double> matrix, size_t n, size_t wanted, const Call& call) {
    wanted = std::min(wanted, n);
    double scale = largest_of(matrix, n, call);
    if (scale == 0) scale = 1;
    const TridiagonalForm form = form_of(matrix, n, scale, call);
    std::optional<SymmetricEigen> out;
    if (wanted <= n / kFew) out = few_largest(form, wanted, call);
    if (!out) out = all(form, wanted, call);
    for (double& value : out->values) value *= scale;
    for (size_t i = 0; i < wanted; ++i) std::reverse(&out->vectors[i * n], &out->vectors[i * n] + n);
    return *std::move(out);
}

// By the Cholesky factor of B = L L^T: the eigenvectors of L^-1 A L^-T are L^T v.
SymmetricEigen generalised_eigen(std::span<const double> a, std::span<const double> b, size_t n, size_t wanted,
                                 const Call& call) {
    const Eigen::LLT<Matrix> factor(view(b, n, n));
    check(factor.info() == Eigen::Success, "the second matrix is not positive definite");
    Matrix middle = view(a, n, n).selfadjointView<Eigen::Lower>();
    factor.matrixL().solveInPlace(middle);
    factor.matrixU().solveInPlace<Eigen::OnTheRight>(middle);
    SymmetricEigen out = symmetric_eigen({middle.data(), n * n}, n, wanted, call);
    Matrix vectors = view(out.vectors, out.values.size(), n).transpose();
    factor.matrixU().solveInPlace(vectors);
    out.vectors = flat(vectors.transpose());
    return out;
}

}  // namespace annkit
