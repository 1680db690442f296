// Groups of product quantization at AVX2.
#pragma once

#include "annkit/simd/groups.h"

namespace annkit::simd {
namespace {

struct Choice8 {
    using Index = __m256i;
    static Index numbers(uint32_t i) { return _mm256_set1_epi32(int(i)); }
    static Index next(Index i) { return _mm256_add_epi32(i, _mm256_set1_epi32(1)); }
    static void keep(__m256 score, Index number, __m256& best, Index& index) {
        const __m256i less = _mm256_castps_si256(_mm256_cmp_ps(score, best, _CMP_LT_OQ));
        index = _mm256_blendv_epi8(index, number, less);
        best = _mm256_min_ps(score, best);
    }
    static void store(uint32_t* p, Index index) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), index); }
};

}  // namespace
}  // namespace annkit::simd
