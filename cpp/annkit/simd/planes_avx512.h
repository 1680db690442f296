// Levels kept as planes of bits against a float query, with AVX-512: sixteen bits of a plane are a mask of an addition.
// Bottleneck: moving masks, one a plane and sixteen entries.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace planes {

constexpr float kWeights[8] = {1, 2, 4, 8, 16, 32, 64, 128};

// The levels, less the middle, of sixteen entries whose masks `mask` reads from a plane.
template <class Mask>
__m512 levels(const uint8_t* top, const uint8_t* rest, size_t count, size_t bytes, const Mask& mask) {
    __m512 level = _mm512_set1_ps(-float((1u << count) - 1) / 2);
    level = _mm512_mask_add_ps(level, mask(top), level, _mm512_set1_ps(kWeights[count - 1]));
    for (size_t p = 0; p + 1 < count; ++p)
        level = _mm512_mask_add_ps(level, mask(rest + p * bytes), level, _mm512_set1_ps(kWeights[p]));
    return level;
}

float dot(const float* q, const uint8_t* top, const uint8_t* rest, size_t count, size_t dim) {
    const auto sixteen = [](const uint8_t* p) {
        uint16_t bits;
        __builtin_memcpy(&bits, p, 2);
        return __mmask16(bits);
    };
    const auto eight = [](const uint8_t* p) { return __mmask16(*p); };
    const size_t bytes = dim / 8;
    __m512 sum = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 2 <= bytes; i += 2)
        sum = _mm512_fmadd_ps(levels(top + i, rest + i, count, bytes, sixteen), _mm512_loadu_ps(q + 8 * i), sum);
    if (i < bytes)
        sum = _mm512_fmadd_ps(levels(top + i, rest + i, count, bytes, eight), _mm512_maskz_loadu_ps(0xff, q + 8 * i),
                              sum);
    return _mm512_reduce_add_ps(sum);
}

// Bottleneck: the loads, two for sixteen bits.
float above(const float* x, size_t stride, size_t n, const float* threshold, size_t dim, uint8_t* plane) {
    const auto rest = __mmask16((1u << dim % 16) - 1);
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    const auto sixteen = [&](__m512 values, __m512 least) {
        odd = _mm512_fmadd_ps(values, values, odd);
        const __m512 last = even;
        even = odd, odd = last;
        return uint16_t(_mm512_cmp_ps_mask(values, least, _CMP_GT_OQ));
    };
    for (size_t i = 0; i < n; ++i, x += stride) {
        size_t j = 0;
        for (; j + 16 <= dim; j += 16, plane += 2) {
            const uint16_t bits = sixteen(_mm512_loadu_ps(x + j), _mm512_loadu_ps(threshold + j));
            __builtin_memcpy(plane, &bits, 2);
        }
        if (j == dim) continue;
        const uint16_t bits = sixteen(_mm512_maskz_loadu_ps(rest, x + j), _mm512_maskz_loadu_ps(rest, threshold + j));
        *plane++ = uint8_t(bits);
        if (dim - j > 8) *plane++ = uint8_t(bits >> 8);
    }
    return _mm512_reduce_add_ps(_mm512_add_ps(even, odd));
}

}  // namespace planes

void fill_planes(Kernels& k) {
    k.plane_dot = planes::dot;
    k.planes_above = planes::above;
}

}  // namespace
}  // namespace annkit::simd
