// Rows of codes that follow each other for a query in bytes, with AVX-512 VNNI.
// Bottleneck: adding up along rows, and for long ones vpdpbusd and loads that cross lines.
#pragma once

#include <immintrin.h>

#include "annkit/simd/codes_avx512.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace byte_runs {

inline constexpr size_t kRows = 8;

// Adds up each of eight vectors.
[[gnu::always_inline]] inline __m256i add_up(const bytes::Sums (&sums)[kRows]) {
    __m512i x[kRows];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
        const auto a = __m512i(sums[2 * i]), b = __m512i(sums[2 * i + 1]);
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; ++i)
        x[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]),
                                _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]));
    // Of rows 0 to 3, then 4 to 7: quarters 0 and 1, then 2 and 3.
    const __m512i y = _mm512_add_epi32(_mm512_shuffle_i32x4(x[0], x[1], 0x88), _mm512_shuffle_i32x4(x[0], x[1], 0xdd));
    return _mm512_castsi512_si256(_mm512_add_epi32(_mm512_shuffle_i32x4(y, y, 0x08), _mm512_shuffle_i32x4(y, y, 0x0d)));
}

// Instead of rows that do not exist the last.
template <bool kWhole>
__m256 products(const CodeQuery& query, const CodeRows& rows, size_t row) {
    byte_codes::Cursor<kRows, kWhole> x(rows.codes, rows.stride, rows.n, row);
    const int8_t* q = query.values;
    bytes::Sums sums[kRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) sums[r] = bytes::Sums{};
    size_t left = query.bytes;
    do {
        const size_t n = left < 64 ? left : 64;
        const auto mask = __mmask16(bytes::first32(byte_codes::groups(n)));
        const __m512i values = _mm512_loadu_si512(q);
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
            _mm_prefetch(x.at(r) + kFetchAhead, _MM_HINT_T0);
            sums[r] =
                bytes::Sums(_mm512_dpbusd_epi32(__m512i(sums[r]), _mm512_maskz_loadu_epi32(mask, x.at(r)), values));
        }
        x.step(64);
        q += 64;
        left -= n;
    } while (left > 0);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(add_up(sums)), _mm256_set1_ps(query.mul));
}

void run(const CodeQuery& query, const CodeRows& rows, float* out) {
    const __m256 base = _mm256_set1_ps(query.base);
    size_t row = 0;
    for (; row + kRows <= rows.n; row += kRows)
        _mm256_storeu_ps(out + row, _mm256_add_ps(_mm256_add_ps(base, _mm256_loadu_ps(rows.add + row)),
                                                  products<true>(query, rows, row)));
    if (row == rows.n) return;
    const auto exist = __mmask8(bytes::first32(rows.n - row));
    const __m256 add = _mm256_add_ps(base, _mm256_maskz_loadu_ps(exist, rows.add + row));
    _mm256_mask_storeu_ps(out + row, exist, _mm256_add_ps(add, products<false>(query, rows, row)));
}

}  // namespace byte_runs

void fill_byte_runs(Kernels& k) { k.byte_run = byte_runs::run; }

}  // namespace
}  // namespace annkit::simd
