// Sums of the entries that rows' nibbles name, with VBMI: a lane a row, sixteen rows at a time, so that a permutation
// is sixteen look-ups in a group's table. Bottleneck: the permutations of bytes that bring a row's codes to its lane,
// one for four groups, and for scattered rows the caches.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace nibble_entries {

inline constexpr size_t kLanes = 16;
inline constexpr size_t kTogether = 4;  // groups whose codes share a lane of 32 bits: a word

struct Rows {
    const void* const* blocks;
    const uint8_t* rows;
    size_t n;
    __m512i shift;  // 4 for rows whose codes are high nibbles
};

// Adds the entries of kWords words of groups from `first` on; of kGroups of them in the last.
template <size_t kWords, size_t kGroups>
[[gnu::always_inline]] inline void add(const Rows& of, const float* table, size_t first, __m512 (&sums)[kTogether],
                                       __m512 (&rest)[kTogether]) {
    constexpr auto kStored = __mmask16(kGroups > 2 ? 0xffff : 0xff);  // positions come in pairs
    __m512i words[kWords];
#pragma GCC unroll 8
    for (size_t j = 0; j < kWords; ++j) words[j] = _mm512_setzero_si512();
    for (size_t i = 0; i < of.n; ++i) {
        const auto* block = static_cast<const uint8_t*>(of.blocks[i]) + first * 16;
        const __m512i order = _mm512_set1_epi32(int(0x30201000 + 0x01010101 * (of.rows[i] & 15u)));
        const __mmask64 lane = __mmask64(0xf) << kTogether * i;
#pragma GCC unroll 8
        for (size_t j = 0; j < kWords; ++j)
            words[j] =
                _mm512_mask_permutexvar_epi8(words[j], lane, order, _mm512_maskz_loadu_epi32(kStored, block + j * 64));
    }
    table += first * 16;
#pragma GCC unroll 8
    for (size_t j = 0; j < kWords; ++j, table += kTogether * 16) {
        __m512i codes = _mm512_srlv_epi32(words[j], of.shift);  // a permutation looks at the lowest four bits
#pragma GCC unroll 4
        for (size_t t = 0; t < kGroups; ++t, codes = _mm512_srli_epi32(codes, 8)) {
            const __m512 found = _mm512_permutexvar_ps(codes, _mm512_loadu_ps(table + t * 16));
            if constexpr (kGroups == kTogether)
                sums[t] = _mm512_add_ps(sums[t], found);
            else
                rest[t] = found;
        }
    }
}

void sum_16(const float* table, size_t m, const void* const* blocks, const uint8_t* rows, size_t n, float* out) {
    const __mmask16 there = __mmask16((1u << n) - 1);
    const __m512i row = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(there, rows));
    const Rows of{blocks, rows, n, _mm512_and_si512(_mm512_srli_epi32(row, 2), _mm512_set1_epi32(4))};
    __m512 sums[kTogether] = {}, rest[kTogether] = {};
    size_t g = 0;
    for (; g + 8 * kTogether <= m; g += 8 * kTogether) add<8, 4>(of, table, g, sums, rest);
    for (; g + 4 * kTogether <= m; g += 4 * kTogether) add<4, 4>(of, table, g, sums, rest);
    for (; g + kTogether <= m; g += kTogether) add<1, 4>(of, table, g, sums, rest);
    if (m - g == 1) add<1, 1>(of, table, g, sums, rest);
    if (m - g == 2) add<1, 2>(of, table, g, sums, rest);
    if (m - g == 3) add<1, 3>(of, table, g, sums, rest);
    __m512 total = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
    for (size_t t = 0; t < m - g; ++t) total = _mm512_add_ps(total, rest[t]);
    _mm512_mask_storeu_ps(out, there, total);
}

void sum(const float* table, size_t m, const void* const* blocks, const uint8_t* rows, size_t n, float* out) {
    for (size_t i = 0; i < n; i += kLanes)
        sum_16(table, m, blocks + i, rows + i, n - i < kLanes ? n - i : kLanes, out + i);
}

}  // namespace nibble_entries
}  // namespace
}  // namespace annkit::simd
