// Sketches of 32 bits against a query's, AVX-512 (VPOPCNTDQ). Bottleneck: of short runs, what starts one; of long ones,
// the compression of the hits (into a register: into memory it is slow on Zen 4).
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

namespace words {

size_t near(const uint32_t* words, const WordRun* runs, size_t n, uint32_t query, uint32_t most, uint32_t* out) {
    const __m512i q = _mm512_set1_epi32(int(query)), bound = _mm512_set1_epi32(int(most));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t found = 0;
    for (size_t r = 0; r < n; ++r)
        for (uint32_t i = runs[r].first; i < runs[r].last; i += 16) {
            const uint32_t left = runs[r].last - i;
            const auto there = __mmask16(left >= 16 ? 0xffffu : (1u << left) - 1);
            const __m512i bits = _mm512_xor_si512(_mm512_maskz_loadu_epi32(there, words + i), q);
            const __mmask16 hit = _mm512_mask_cmple_epu32_mask(there, _mm512_popcnt_epi32(bits), bound);
            if (hit != 0) {
                const __m512i at = _mm512_add_epi32(_mm512_set1_epi32(int(i)), lane);
                _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(hit, at));
                found += size_t(__builtin_popcount(hit));
            }
            if (left <= 16) break;
        }
    return found;
}

}  // namespace words

void fill_words(Kernels& k) { k.near_words = words::near; }

}  // namespace
}  // namespace annkit::simd
