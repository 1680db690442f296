// Decompositions: the only door to Eigen. Matrices are row-major float64, as NumPy lays them out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace annkit {

struct SymmetricEigen {
    std::vector<double> values;   // largest first
    std::vector<double> vectors;  // of n, a row each
};
// Of a symmetric matrix, of which only the lower half is read; wanted: the largest so many.
SymmetricEigen symmetric_eigen(std::span<const double> matrix, size_t n, size_t wanted);

struct Svd {
    std::vector<double> u, singular, vt;  // rows x r, r, r x cols with r = min(rows, cols); singular values fall
};
Svd svd(std::span<const double> matrix, size_t rows, size_t cols);

// The orthogonal matrix nearest to a square one: u vt of its decomposition (orthogonal Procrustes, Schoenemann 1966).
std::vector<double> nearest_orthogonal(std::span<const double> matrix, size_t n);

}  // namespace annkit
