// Orthogonal bases in float32, on the product kernels.
#pragma once

#include <cstdint>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// Makes the n rows (of dim >= n floats) orthonormal, each within the span of itself and those before it: Gram-Schmidt
// by blocks, twice, as once loses orthogonality to rounding (Kahan's "twice is enough"). A row that depends on those
// before it is replaced by a random direction.
void orthonormalise(std::vector<float>& rows, size_t n, size_t dim, uint64_t seed, const Call& call);

// n <= dim orthonormal rows of dim floats, uniform among all such: a product of reflections along Gaussian vectors
// (Stewart: The efficient generation of random orthogonal matrices with an application to condition estimators, SIAM
// Journal on Numerical Analysis 1980). Half the arithmetic of making Gaussian rows orthonormal, nearly all of it
// products, and as orthogonal as float32 is.
std::vector<float> random_orthonormal(size_t n, size_t dim, uint64_t seed, const Call& call);

}  // namespace annkit
