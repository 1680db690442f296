// The Walsh-Hadamard transform over a vector type V (zero, load, store, fma, add, sub, and swap<H>: lane i gets lane
// i ^ H). Steps within a register first, then two steps a pass over memory, which is bound by loads and stores.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

alignas(64) inline constexpr float kButterfly[4][16] = {{1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1},
                                                        {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1},
                                                        {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1},
                                                        {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1}};

template <class V, size_t H, size_t kStep>
[[gnu::always_inline]] inline typename V::Reg butterflies(typename V::Reg x) {
    if constexpr (H < V::kLanes)
        return butterflies<V, 2 * H, kStep + 1>(V::fma(x, V::load(kButterfly[kStep]), V::template swap<H>(x)));
    else
        return x;
}

template <class V>
void hadamard(float* x, size_t n) {
    if (n < V::kLanes) {
        for (size_t half = 1; half < n; half *= 2)
            for (size_t i = 0; i < n; ++i) {
                if (i & half) continue;
                const float a = x[i], b = x[i + half];
                x[i] = a + b, x[i + half] = a - b;
            }
        return;
    }
    for (size_t i = 0; i < n; i += V::kLanes) V::store(x + i, butterflies<V, 1, 0>(V::load(x + i)));
    size_t half = V::kLanes;
    for (; 4 * half <= n; half *= 4)
        for (size_t start = 0; start < n; start += 4 * half)
            for (float* p = x + start; p < x + start + half; p += V::kLanes) {
                const auto a = V::load(p), b = V::load(p + half), c = V::load(p + 2 * half), d = V::load(p + 3 * half);
                const auto ab = V::add(a, b), cd = V::add(c, d), a_b = V::sub(a, b), c_d = V::sub(c, d);
                V::store(p, V::add(ab, cd));
                V::store(p + half, V::add(a_b, c_d));
                V::store(p + 2 * half, V::sub(ab, cd));
                V::store(p + 3 * half, V::sub(a_b, c_d));
            }
    if (half == n) return;
    for (float* p = x; p < x + half; p += V::kLanes) {
        const auto a = V::load(p), b = V::load(p + half);
        V::store(p, V::add(a, b));
        V::store(p + half, V::sub(a, b));
    }
}

}  // namespace
}  // namespace annkit::simd
