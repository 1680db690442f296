// Rows of codes that follow each other for a query in two bytes an element, with AVX-512 VNNI.
// Bottleneck: vpdpbusd, two for 64 codes, and adding up along rows.
#pragma once

#include <immintrin.h>

#include "annkit/simd/codes_avx512.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace fine_scores {

using bytes::Sums;
inline constexpr size_t kRows = 8;

// Adds up each of eight vectors.
[[gnu::always_inline]] inline __m256 add_up(const __m512 (&sums)[kRows]) {
    __m512 x[kRows];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i)
        x[i] = _mm512_add_ps(_mm512_unpacklo_ps(sums[2 * i], sums[2 * i + 1]),
                             _mm512_unpackhi_ps(sums[2 * i], sums[2 * i + 1]));
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; ++i) {
        const __m512d a = _mm512_castps_pd(x[2 * i]), b = _mm512_castps_pd(x[2 * i + 1]);
        x[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    }
    // Of rows 0 to 3, then 4 to 7: quarters 0 and 1, then 2 and 3.
    const __m512 y = _mm512_add_ps(_mm512_shuffle_f32x4(x[0], x[1], 0x88), _mm512_shuffle_f32x4(x[0], x[1], 0xdd));
    return _mm512_castps512_ps256(_mm512_add_ps(_mm512_shuffle_f32x4(y, y, 0x08), _mm512_shuffle_f32x4(y, y, 0x0d)));
}

template <bool kWhole>
__m256 eight(const FineQuery& query, const CodeRows& rows, size_t row) {
    byte_codes::Cursor<kRows, kWhole> x(rows.codes, rows.stride, rows.n, row);
    Sums high[kRows], low[kRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) high[r] = low[r] = Sums{};
    size_t j = 0;
    do {
        const __mmask64 mask = bytes::first64(rows.dim - j < 64 ? rows.dim - j : 64);
        const __m512i a = _mm512_maskz_loadu_epi8(mask, query.high + j);
        const __m512i b = _mm512_maskz_loadu_epi8(mask, query.low + j);
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
            const __m512i codes = _mm512_maskz_loadu_epi8(mask, x.at(r));
            high[r] = Sums(_mm512_dpbusd_epi32(__m512i(high[r]), codes, a));
            low[r] = Sums(_mm512_dpbusd_epi32(__m512i(low[r]), codes, b));
        }
        x.step(64);
        j += 64;
    } while (j < rows.dim);
    const __m512 high_mul = _mm512_set1_ps(query.high_mul), low_mul = _mm512_set1_ps(query.low_mul);
    __m512 sums[kRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r)
        sums[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(__m512i(high[r])), high_mul,
                                  _mm512_mul_ps(_mm512_cvtepi32_ps(__m512i(low[r])), low_mul));
    return add_up(sums);
}

void run(const FineQuery& query, const CodeRows& rows, float* out) {
    const __m256 base = _mm256_set1_ps(query.base);
    size_t row = 0;
    for (; row + kRows <= rows.n; row += kRows)
        _mm256_storeu_ps(out + row, _mm256_add_ps(_mm256_add_ps(base, _mm256_loadu_ps(rows.add + row)),
                                                  eight<true>(query, rows, row)));
    if (row == rows.n) return;
    const auto exist = __mmask8(bytes::first32(rows.n - row));
    const __m256 add = _mm256_add_ps(base, _mm256_maskz_loadu_ps(exist, rows.add + row));
    _mm256_mask_storeu_ps(out + row, exist, _mm256_add_ps(add, eight<false>(query, rows, row)));
}

}  // namespace fine_scores

void fill_fine_scores(Kernels& k) { k.fine_scores = fine_scores::run; }

}  // namespace
}  // namespace annkit::simd
