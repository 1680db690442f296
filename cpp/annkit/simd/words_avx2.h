// Sketches of 32 bits against a query's, AVX2: bits are counted by a table of nibbles. Bottleneck: of short runs, what
// starts one; of long ones, the shuffles.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

namespace words {

inline __m256i count_bits(__m256i x) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2,
                                           2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i bytes = _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(x, low)),
                                          _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low)));
    return _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
}

size_t near(const uint32_t* words, const WordRun* runs, size_t n, uint32_t query, uint32_t most, uint32_t* out) {
    const __m256i q = _mm256_set1_epi32(int(query)), above = _mm256_set1_epi32(int(most) + 1);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    size_t found = 0;
    for (size_t r = 0; r < n; ++r)
        for (uint32_t i = runs[r].first; i < runs[r].last; i += 8) {
            const __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(runs[r].last - i)), lane);
            const __m256i x = _mm256_maskload_epi32(reinterpret_cast<const int*>(words + i), there);
            const __m256i hit = _mm256_and_si256(there, _mm256_cmpgt_epi32(above, count_bits(_mm256_xor_si256(x, q))));
            for (auto mask = unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(hit))); mask != 0; mask &= mask - 1)
                out[found++] = i + unsigned(__builtin_ctz(mask));
            if (runs[r].last - i <= 8) break;
        }
    return found;
}

}  // namespace words

void fill_words(Kernels& k) { k.near_words = words::near; }

}  // namespace
}  // namespace annkit::simd
