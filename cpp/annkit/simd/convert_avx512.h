// Half floats (f16, bf16) to float32 and back, floats to bytes, and the choice of scores by a bound, with AVX-512.
// Bottlenecks: loads and stores (Zen 4, in cache: 22-33 G values a second); narrowing to bf16, its seven operations of
// rounding (12 G). Selecting rare hits: loads (19-35 G scores a second).
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace convert {

struct F16 {
    static __m512 from(__m256i x) { return _mm512_cvtph_ps(x); }
    static __m256i to(__m512 x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

struct Bf16 {
    static __m512 from(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
    static __m256i to(__m512 x) {
        const __m512i bits = _mm512_castps_si512(x), high = _mm512_srli_epi32(bits, 16);
        const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
        const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
        const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40)));
    }
};

__mmask16 first16(size_t n) { return __mmask16(_bzhi_u32(~0u, uint32_t(n))); }

template <class Half>
void widen(const uint16_t* in, size_t n, float* out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(out + i, Half::from(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i))));
    const __mmask16 last = first16(n - i);
    if (last != 0) _mm512_mask_storeu_ps(out + i, last, Half::from(_mm256_maskz_loadu_epi16(last, in + i)));
}

template <class Half>
void narrow(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), Half::to(_mm512_loadu_ps(in + i)));
    const __mmask16 last = first16(n - i);
    if (last != 0) _mm256_mask_storeu_epi16(out + i, last, Half::to(_mm512_maskz_loadu_ps(last, in + i)));
}

// Compresses in a register, then writes sixteen indices whatever the mask (found <= first, so there is room):
// compressing straight to memory takes Zen 4 over a hundred cycles.
size_t keep(__mmask16 hit, size_t first, uint32_t* out, size_t found) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i indices = _mm512_add_epi32(lanes, _mm512_set1_epi32(int32_t(first)));
    _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(hit, indices));
    return found + uint32_t(__builtin_popcount(hit));
}

size_t select(const float* scores, size_t n, float bound, uint32_t* out) {
    const __m512 most = _mm512_set1_ps(bound);
    size_t found = 0, i = 0;
    for (; i + 64 <= n; i += 64) {
        __mmask16 hit[4];
        for (size_t v = 0; v < 4; ++v)
            hit[v] = _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + i + 16 * v), most, _CMP_LE_OQ);
        if ((hit[0] | hit[1] | hit[2] | hit[3]) == 0) continue;
        for (size_t v = 0; v < 4; ++v) found = keep(hit[v], i + 16 * v, out, found);
    }
    for (; i + 16 <= n; i += 16)
        found = keep(_mm512_cmp_ps_mask(_mm512_loadu_ps(scores + i), most, _CMP_LE_OQ), i, out, found);
    const __m512 last = _mm512_maskz_loadu_ps(first16(n - i), scores + i);
    for (uint32_t hit = _mm512_mask_cmp_ps_mask(first16(n - i), last, most, _CMP_LE_OQ); hit != 0; hit &= hit - 1)
        out[found++] = uint32_t(i) + _tzcnt_u32(hit);
    return found;
}

size_t count(const float* scores, size_t n, float bound) {
    const __m512 most = _mm512_set1_ps(bound);
    size_t found = 0, i = 0;
    for (; i + 16 <= n; i += 16)
        found += uint32_t(__builtin_popcount(_mm512_cmp_ps_mask(_mm512_loadu_ps(scores + i), most, _CMP_LE_OQ)));
    const __mmask16 last = first16(n - i);
    const __m512 x = _mm512_maskz_loadu_ps(last, scores + i);
    return found + uint32_t(__builtin_popcount(_mm512_mask_cmp_ps_mask(last, x, most, _CMP_LE_OQ)));
}

// Calls f(index, mask, turn) for sixteen elements at a time, by turns 0 and 1 for two chains of sums.
template <class F>
[[gnu::always_inline]] inline void by_16(size_t n, F&& f) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        f(i, 0xffff, 0);
        f(i + 16, 0xffff, 1);
    }
    if (i + 16 <= n) {
        f(i, 0xffff, 0);
        i += 16;
    }
    if (i < n) f(i, first16(n - i), 1);
}

__m512 difference(const float* x, const float* center, size_t i, __mmask16 mask) {
    return _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, center + i));
}

float largest(const float* x, const float* center, size_t dim) {
    __m512 most[2] = {};
    by_16(
        dim, [&](size_t i, __mmask16 mask, int turn) __attribute__((always_inline)) {
            most[turn] = _mm512_max_ps(most[turn], _mm512_abs_ps(difference(x, center, i, mask)));
        });
    return _mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1]));
}

void to_i8(const float* x, const float* center, size_t dim, float scale, int8_t* codes, I8Row& row) {
    if (scale == 0) scale = largest(x, center, dim) / 127;
    if (!(scale >= kLeastScale)) scale = 0;
    const __m512 by = _mm512_set1_ps(scale), inverse = _mm512_set1_ps(scale > 0 ? 1 / scale : 0);
    __m512 error2[2] = {}, norm2[2] = {};
    by_16(
        dim, [&](size_t i, __mmask16 mask, int turn) __attribute__((always_inline)) {
            const __m512 y = difference(x, center, i, mask);
            const __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(y, inverse));
            const __m512 miss = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(code), by, y);
            error2[turn] = _mm512_fmadd_ps(miss, miss, error2[turn]);
            norm2[turn] = _mm512_fmadd_ps(y, y, norm2[turn]);
            _mm_mask_storeu_epi8(codes + i, mask, _mm512_cvtepi32_epi8(code));
        });
    row = {scale, _mm512_reduce_add_ps(_mm512_add_ps(error2[0], error2[1])),
           _mm512_reduce_add_ps(_mm512_add_ps(norm2[0], norm2[1]))};
}

}  // namespace convert

void fill_convert(Kernels& k) {
    k.widen[0] = convert::widen<convert::F16>;
    k.widen[1] = convert::widen<convert::Bf16>;
    k.narrow[0] = convert::narrow<convert::F16>;
    k.narrow[1] = convert::narrow<convert::Bf16>;
    k.select = convert::select;
    k.count = convert::count;
    k.to_i8 = convert::to_i8;
}

}  // namespace
}  // namespace annkit::simd
