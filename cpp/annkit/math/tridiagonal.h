// Eigenvalues and vectors of a symmetric tridiagonal matrix, only those that are wanted.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// The largest so many, falling, to rounding of the largest magnitude: by bisection (Barth, Martin, Wilkinson:
// Calculation of the eigenvalues of a symmetric tridiagonal matrix by the method of bisection, 1967).
std::vector<double> tridiagonal_values(std::span<const double> diagonal, std::span<const double> next_to, size_t wanted,
                                       const Call& call);

// A row for each value by inverse iteration (Peters and Wilkinson: The calculation of specified eigenvectors by inverse
// iteration, 1971), orthonormal. values: eigenvalues, falling, accurate to rounding; next_to[i] stands beside
// diagonal[i] and [i + 1]. Nothing where a vector does not come out to working precision.
std::optional<std::vector<double>> tridiagonal_vectors(std::span<const double> diagonal,
                                                       std::span<const double> next_to, std::span<const double> values,
                                                       const Call& call);

}  // namespace annkit
