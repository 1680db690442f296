#include "annkit/math/linalg.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include "annkit/core/errors.h"

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

}  // namespace

SymmetricEigen symmetric_eigen(std::span<const double> matrix, size_t n) {
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(view(matrix, n, n));
    check(solver.info() == Eigen::Success, "the eigenvalues of a ", n, " x ", n, " matrix did not converge");
    const Eigen::VectorXd values = solver.eigenvalues().reverse();
    return {{values.data(), values.data() + values.size()},
            flat(solver.eigenvectors().rowwise().reverse().transpose())};
}

Svd svd(std::span<const double> matrix, size_t rows, size_t cols) {
    const Eigen::BDCSVD<Matrix> solver(view(matrix, rows, cols), Eigen::ComputeThinU | Eigen::ComputeThinV);
    const auto& s = solver.singularValues();
    return {flat(solver.matrixU()), {s.data(), s.data() + s.size()}, flat(solver.matrixV().transpose())};
}

std::vector<double> nearest_orthogonal(std::span<const double> matrix, size_t n) {
    const Eigen::BDCSVD<Matrix> solver(view(matrix, n, n), Eigen::ComputeFullU | Eigen::ComputeFullV);
    return flat(solver.matrixU() * solver.matrixV().transpose());
}

}  // namespace annkit
