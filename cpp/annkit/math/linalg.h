// Decompositions: the only door to Eigen. Matrices are row-major float64, as NumPy lays them out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

struct SymmetricEigen {
    std::vector<double> values;   // largest first
    std::vector<double> vectors;  // of n, a row each
};
// Of a symmetric matrix, of which only the lower half is read; wanted: the largest so many.
SymmetricEigen symmetric_eigen(std::span<const double> matrix, size_t n, size_t wanted, const Call& call);
// Of A v = value B v, with v^T B v = 1; B is positive definite.
SymmetricEigen generalised_eigen(std::span<const double> a, std::span<const double> b, size_t n, size_t wanted,
                                 const Call& call);

}  // namespace annkit
