// Rotations of neighbouring columns of doubles, written once over a vector type Reg.
//
// A column stays in registers from one rotation to the next. Bound by the arithmetic, six operations a number, where
// vectors are short, and where they are long by what a rotation waits for the one before: a product and a sum.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

using F64x2 = double __attribute__((vector_size(16)));
using F64x4 = double __attribute__((vector_size(32)));
using F64x8 = double __attribute__((vector_size(64)));

template <class Reg>
void rotate_columns(double* columns, const Rotation* rotations, size_t n) {
    constexpr size_t kLanes = sizeof(Reg) / sizeof(double), kRegs = kRotationRows / kLanes;
    Reg x[kRegs];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRegs; ++r) __builtin_memcpy(&x[r], columns + r * kLanes, sizeof(Reg));
    for (size_t i = 0; i < n; ++i, columns += kRotationRows) {
        const double cosine = rotations[i].cosine, sine = rotations[i].sine;
#pragma GCC unroll 8
        for (size_t r = 0; r < kRegs; ++r) {
            Reg y;
            __builtin_memcpy(&y, columns + kRotationRows + r * kLanes, sizeof(Reg));
            const Reg out = cosine * x[r] - sine * y;
            __builtin_memcpy(columns + r * kLanes, &out, sizeof(Reg));
            x[r] = sine * x[r] + cosine * y;
        }
    }
#pragma GCC unroll 8
    for (size_t r = 0; r < kRegs; ++r) __builtin_memcpy(columns + r * kLanes, &x[r], sizeof(Reg));
}

}  // namespace
}  // namespace annkit::simd
