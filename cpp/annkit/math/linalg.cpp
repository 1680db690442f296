#include "annkit/math/linalg.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <optional>

#include "annkit/core/errors.h"
#include "annkit/math/tridiagonal.h"
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

// Up to this share of the vectors it is faster to find them one by one: of 784, 64 take a quarter and half of them 0.7
// of the time of all by one thread, and less by more.
constexpr size_t kFew = 2;

// vectors <- Q vectors, a strip of them a task.
void turn_back(const TridiagonalForm& form, std::vector<double>& vectors, size_t count, const Call& call) {
    constexpr size_t kStrip = 32;
    const size_t n = form.diagonal.size();
    const auto rows = Eigen::Index(n);
    const Eigen::Map<const Eigen::MatrixXd> reflectors(form.reflectors.data(), rows, rows);
    const Eigen::Map<const Eigen::VectorXd> scales(form.scales.data(), rows - 1);
    const auto all = Eigen::householderSequence(reflectors, scales).setLength(rows - 1).setShift(1);
    parallel_blocks(count, kStrip, threads_for(call, double(n * n * count)), call, [&](size_t first, size_t some) {
        Eigen::Map<Eigen::MatrixXd> strip(&vectors[first * n], rows, Eigen::Index(some));
        strip.applyOnTheLeft(all);
    });
}

std::optional<SymmetricEigen> few_largest(std::span<const double> matrix, size_t n, size_t wanted, const Call& call) {
    double scale = 0;
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j <= i; ++j) scale = std::max(scale, std::abs(matrix[i * n + j]));
    if (scale == 0 || n < 2) return std::nullopt;
    // Rows and columns from the last to the first: rows of the lower half become columns of it.
    std::vector<double> turned(n * n);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j <= i; ++j) turned[(n - 1 - i) * n + n - 1 - j] = matrix[i * n + j] / scale;
    const TridiagonalForm form = tridiagonal_form(std::move(turned), n, call);
    SymmetricEigen out{tridiagonal_values(form.diagonal, form.next_to, wanted, call), {}};
    auto vectors = tridiagonal_vectors(form.diagonal, form.next_to, out.values);
    if (!vectors) return std::nullopt;
    turn_back(form, *vectors, wanted, call);
    for (double& value : out.values) value *= scale;
    for (size_t i = 0; i < wanted; ++i) std::reverse(&(*vectors)[i * n], &(*vectors)[i * n] + n);
    out.vectors = std::move(*vectors);
    return out;
}

}  // namespace

SymmetricEigen symmetric_eigen(std::span<const double> matrix, size_t n, size_t wanted, const Call& call) {
    wanted = std::min(wanted, n);
    const auto a = view(matrix, n, n);
    if (wanted <= n / kFew)
        if (auto few = few_largest(matrix, n, wanted, call)) return *few;
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(a);
    check(solver.info() == Eigen::Success, "the eigenvalues of a ", n, " x ", n, " matrix did not converge");
    const auto k = Eigen::Index(wanted);
    const Eigen::VectorXd values = solver.eigenvalues().reverse().head(k);
    return {{values.data(), values.data() + k},
            flat(solver.eigenvectors().rightCols(k).rowwise().reverse().transpose())};
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
