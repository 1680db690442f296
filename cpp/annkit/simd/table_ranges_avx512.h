// The least and the largest entry of tables of 16, with AVX-512: eight tables at a time, whose registers meet by halves
// until one holds what is asked of all of them. Bottleneck: shuffles and minima, four a table.
#pragma once

#include <immintrin.h>

#include "annkit/simd/product_tables.h"

namespace annkit::simd {
namespace {
namespace ranges {

inline constexpr size_t kTables = 8, kEntries = 16;

// The least of 8 entries, and the largest of them with the other sign.
__m512 halves(const float* table) {
    const __m512 x = _mm512_loadu_ps(table), y = _mm512_shuffle_f32x4(x, x, 0x4e);
    return _mm512_mask_sub_ps(_mm512_min_ps(x, y), 0xff00, _mm512_setzero_ps(), _mm512_max_ps(x, y));
}

void of_eight(const float* tables, float* least, float* largest) {
    __m512 quarters[4], eighths[2];
    for (size_t i = 0; i < 4; ++i) {
        const __m512 a = halves(tables + i * kEntries), b = halves(tables + (i + 4) * kEntries);
        quarters[i] = _mm512_min_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
    }
    for (size_t i = 0; i < 2; ++i) {
        const __m512 a = quarters[2 * i], b = quarters[2 * i + 1];
        eighths[i] = _mm512_min_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    }
    const __m512 a = eighths[0], b = eighths[1];
    const __m512 all = _mm512_min_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
    // The least of four tables, the others of those, and the same of the next four.
    const __m512 sorted = _mm512_shuffle_f32x4(all, all, 0xd8);
    _mm256_storeu_ps(least, _mm512_castps512_ps256(sorted));
    _mm256_storeu_ps(largest, _mm256_sub_ps(_mm256_setzero_ps(), _mm512_extractf32x8_ps(sorted, 1)));
}

}  // namespace ranges

template <class V>
void table_ranges_16(const float* tables, size_t m, size_t entries, float* least, float* largest) {
    size_t g = 0;
    for (; entries == ranges::kEntries && g + ranges::kTables <= m; g += ranges::kTables)
        ranges::of_eight(tables + g * entries, least + g, largest + g);
    table_ranges<V>(tables + g * entries, m - g, entries, least + g, largest + g);
}

}  // namespace
}  // namespace annkit::simd
