// The nearest orthogonal matrix, by products alone: in float32 and on the product kernels.
#pragma once

#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// What is known of singular values.
struct Spread {
    double least;     // over the largest
    double most = 0;  // 0: the Frobenius norm
};

// The matrix with orthonormal rows or columns, whichever are fewer, that maximises trace(Q^T A): the polar factor of A
// (row-major), which is finite.
// Singular values of the spread come out as 1 (Q^T Q is the identity within 2e-6 at 784 columns), smaller ones as well,
// which takes longer; 0, and what hardly differs from it, as something below 1. None may be larger than spread.most.
// Q's entries lose precision with the condition of A: 4e-5 off where the values span 1e4. For decompositions to full
// precision see linalg.h.
std::vector<float> polar_factor(const std::vector<float>& a, size_t rows, size_t columns, Spread spread,
                                const Call& call);

}  // namespace annkit
