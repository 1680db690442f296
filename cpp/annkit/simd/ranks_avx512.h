// Each number's place among the others with AVX-512: up to four registers of them meet all, one after the other.
// Bottleneck: a comparison and an addition for each register and number.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace ranks {

inline constexpr size_t kLanes = 16;

__mmask16 first16(size_t n) { return n >= kLanes ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

// Of kVecs registers of numbers from `first` on, the last of which may hold fewer; returns the sum of the ranks.
template <size_t kVecs>
[[gnu::always_inline]] inline uint32_t rank(const float* numbers, size_t n, size_t first, uint32_t* out) {
    __m512 x[kVecs];
    __m512i less[kVecs];
#pragma GCC unroll 4
    for (size_t v = 0; v < kVecs; ++v) {
        x[v] = _mm512_maskz_loadu_ps(first16(n - first - v * kLanes), numbers + first + v * kLanes);
        less[v] = _mm512_setzero_si512();
    }
    const __m512i minus_one = _mm512_set1_epi32(-1);
    for (size_t j = 0; j < n; ++j) {
        const __m512 y = _mm512_set1_ps(numbers[j]);
#pragma GCC unroll 4
        for (size_t v = 0; v < kVecs; ++v)
            less[v] = _mm512_mask_sub_epi32(less[v], _mm512_cmp_ps_mask(y, x[v], _CMP_LT_OQ), less[v], minus_one);
    }
    __m512i sum = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (size_t v = 0; v < kVecs; ++v) {
        const __mmask16 there = first16(n - first - v * kLanes);
        _mm512_mask_storeu_epi32(out + first + v * kLanes, there, less[v]);
        sum = _mm512_mask_add_epi32(sum, there, sum, less[v]);
    }
    return uint32_t(_mm512_reduce_add_epi32(sum));
}

bool rank(const float* numbers, size_t n, uint32_t* out) {
    size_t sum = 0, i = 0;
    for (; i + 3 * kLanes < n; i += 4 * kLanes) sum += rank<4>(numbers, n, i, out);
    if (i + 2 * kLanes < n)
        sum += rank<3>(numbers, n, i, out);
    else if (i + kLanes < n)
        sum += rank<2>(numbers, n, i, out);
    else if (i < n)
        sum += rank<1>(numbers, n, i, out);
    return sum * 2 == n * (n - 1);
}

}  // namespace ranks
}  // namespace
}  // namespace annkit::simd
