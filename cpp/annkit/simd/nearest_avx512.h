// The nearest rows of a panel of bytes with AVX-512 VNNI; panels and rows as the tiles of bytes have them.
// Bottleneck: vpdpbusd; at d=128 a seventh of the time goes to comparing.
#pragma once

#include <immintrin.h>

#include "annkit/simd/bytes_avx512.h"
#include "annkit/simd/nearest_float.h"

namespace annkit::simd {
namespace {
namespace bytes {

// The scores of kRows rows against 32 lanes.
template <size_t kRows>
[[gnu::always_inline]] inline void score_block(const NearestArgs& a, size_t row, __m512 (&scores)[kRows][2]) {
    const auto* panel = static_cast<const __m512i*>(a.panel);
    const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    const size_t apart = a.stride;
    Sums acc[kRows][2];
#pragma GCC unroll 32
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v) acc[r][v] = Sums(panel[v]);
    size_t left = groups(a.dim);
    do {
        panel += 2;
#pragma GCC unroll 32
        for (size_t r = 0; r < kRows; ++r) {
            int32_t part;
            __builtin_memcpy(&part, x + r * apart, 4);
#pragma GCC unroll 2
            for (size_t v = 0; v < 2; ++v) acc[r][v] = multiply<int8_t>(acc[r][v], panel[v], _mm512_set1_epi32(part));
        }
        x += 4;
    } while (--left > 0);
#pragma GCC unroll 32
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v)
            scores[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(__m512i(acc[r][v])), _mm512_set1_ps(a.mul[row + r]),
                                           _mm512_set1_ps(a.add[row + r]));
}

template <class V, size_t kRows>
[[gnu::always_inline]] inline void nearest_block(const NearestArgs& a, size_t row, NearestSoFar<V, 2>& so_far) {
    __m512 scores[kRows][2];
    score_block<kRows>(a, row, scores);
    so_far.take(scores, a.first + uint32_t(row));
}

template <class V>
void run_nearest(const NearestArgs& a) {
    NearestSoFar<V, 2> so_far;
    so_far.load(a);
    size_t row = 0;
    for (; row + 12 <= a.n; row += 12) nearest_block<V, 12>(a, row, so_far);
    for (; row + 3 <= a.n; row += 3) nearest_block<V, 3>(a, row, so_far);
    for (; row < a.n; ++row) nearest_block<V, 1>(a, row, so_far);
    so_far.store(a);
}

void run_minima(const NearestArgs& a, float* minima) {
    __m512 best[2] = {_mm512_loadu_ps(a.best), _mm512_loadu_ps(a.best + 16)};
    __m512i at[2] = {_mm512_loadu_si512(a.nearest), _mm512_loadu_si512(a.nearest + 16)};
    for (size_t row = 0; row < a.n; row += kMinimaRows, minima += 32) {
        __m512 scores[kMinimaRows][2];
        score_block<kMinimaRows>(a, row, scores);
        for (size_t i = 0; i < a.heavy; ++i) {
            const float* lanes = a.heavy_lanes + 32 * i;
            const __m512 low = _mm512_loadu_ps(lanes), high = _mm512_loadu_ps(lanes + 16);
#pragma GCC unroll 32
            for (size_t r = 0; r < kMinimaRows; ++r) {
                const __m512 x = _mm512_set1_ps(a.heavy_rows[i * a.n + row + r]);
                scores[r][0] = _mm512_fmadd_ps(x, low, scores[r][0]);
                scores[r][1] = _mm512_fmadd_ps(x, high, scores[r][1]);
            }
        }
        const __m512i number = _mm512_set1_epi32(int(a.first + row / kMinimaRows));
#pragma GCC unroll 2
        for (size_t v = 0; v < 2; ++v) {
            __m512 least = scores[0][v];
#pragma GCC unroll 32
            for (size_t r = 1; r < kMinimaRows; ++r) least = _mm512_min_ps(scores[r][v], least);
            at[v] = _mm512_mask_mov_epi32(at[v], _mm512_cmp_ps_mask(least, best[v], _CMP_LT_OQ), number);
            best[v] = _mm512_min_ps(least, best[v]);
            _mm512_storeu_ps(minima + 16 * v, least);
        }
    }
    for (size_t v = 0; v < 2; ++v) {
        _mm512_storeu_ps(a.best + 16 * v, best[v]);
        _mm512_storeu_si512(a.nearest + 16 * v, at[v]);
    }
}

}  // namespace bytes

template <class V>
void fill_nearest_i8(Kernels& k) {
    k.minima_i8 = bytes::run_minima;
    k.nearest_i8 = bytes::run_nearest<V>;
}

}  // namespace
}  // namespace annkit::simd
