// A symmetric matrix made tridiagonal by reflections.
#pragma once

#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

// A = Q T Q^T.
struct TridiagonalForm {
    std::vector<double> diagonal, next_to;  // of T; next_to[i] stands beside diagonal[i] and [i + 1]
    // Q = H_0 H_1 ... with H_i = I - scales[i] v v^T: v is zero up to its number, then 1, then what stands in column i
    // (stride() apart) below the diagonal.
    std::vector<double> reflectors, scales;

    size_t stride() const { return stride(diagonal.size()); }
    static size_t stride(size_t n);
};

// a: n columns, stride(n) apart, of which only what is on the diagonal or below is read; zeros behind their n numbers.
// Squares have to be finite.
TridiagonalForm tridiagonal_form(std::vector<double> a, size_t n, const Call& call);

}  // namespace annkit
