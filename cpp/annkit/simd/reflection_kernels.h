// A symmetric matrix between two reflections: what one changes, and the product that the next one wants, in one pass.
// Written once over a vector type Reg.
//
// Four columns at a time, which share the loads and stores of what goes with their rows. Bound by the way of the
// columns from the second cache and back, in short vectors by the eight operations a number.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

template <class Reg, size_t kColumns>
void reflect_few(const Reflection& in, size_t column, size_t row) {
    constexpr size_t kLanes = sizeof(Reg) / sizeof(double);
    static_assert(kLanes <= kReflectionPadding);
    const auto load = [](const double* from) __attribute__((always_inline)) {
        Reg out;
        __builtin_memcpy(&out, from, sizeof out);
        return out;
    };
    double* columns[kColumns];
    Reg sums[kColumns] = {};
    for (size_t k = 0; k < kColumns; ++k) columns[k] = in.a + (column + k) * in.stride;
    for (size_t r = row; r < in.n; r += kLanes) {  // zeros beyond n add nothing
        const Reg v = load(in.v + r), w = load(in.w + r), x = load(in.x + r);
        Reg sum = load(in.y + r);
#pragma GCC unroll 4
        for (size_t k = 0; k < kColumns; ++k) {
            const Reg value = load(columns[k] + r) - (v * in.w[column + k] + w * in.v[column + k]);
            __builtin_memcpy(columns[k] + r, &value, sizeof value);
            sum += value * in.x[column + k];
            sums[k] += value * x;
        }
        __builtin_memcpy(in.y + r, &sum, sizeof sum);
    }
    for (size_t k = 0; k < kColumns; ++k)
        for (size_t t = 0; t < kLanes; ++t) in.y[column + k] += sums[k][t];
}

template <class Reg>
void reflect_columns(const Reflection& in) {
    constexpr size_t kColumns = 4;
    size_t c = in.first;
    for (; c + kColumns <= in.last; c += kColumns) {
        for (size_t k = c; k < c + kColumns; ++k)  // the triangle on the diagonal
            for (size_t r = k; r < c + kColumns; ++r) {
                const double value = in.a[k * in.stride + r] -= in.v[r] * in.w[k] + in.w[r] * in.v[k];
                in.y[r] += value * in.x[k];
                if (r > k) in.y[k] += value * in.x[r];
            }
        reflect_few<Reg, kColumns>(in, c, c + kColumns);
    }
    for (; c < in.last; ++c) {
        const double value = in.a[c * in.stride + c] -= 2 * in.v[c] * in.w[c];
        in.y[c] += value * in.x[c];
        reflect_few<Reg, 1>(in, c, c + 1);
    }
}

}  // namespace
}  // namespace annkit::simd
