// Eigenvectors of a symmetric tridiagonal matrix, only those that are wanted.
#pragma once

#include <optional>
#include <span>
#include <vector>

namespace annkit {

// A row for each value by inverse iteration (Peters and Wilkinson: The calculation of specified eigenvectors by inverse
// iteration, 1971), orthonormal. values: eigenvalues, falling, accurate to rounding; next_to[i] stands beside
// diagonal[i] and [i + 1]. Nothing where a vector does not come out to working precision.
std::optional<std::vector<double>> tridiagonal_vectors(std::span<const double> diagonal,
                                                       std::span<const double> next_to, std::span<const double> values);

}  // namespace annkit
