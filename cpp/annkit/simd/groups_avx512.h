// Groups of product quantization at AVX-512.
#pragma once

#include "annkit/simd/groups.h"

namespace annkit::simd {
namespace {

struct Choice16 {
    using Index = __m512i;
    static Index numbers(uint32_t i) { return _mm512_set1_epi32(int(i)); }
    static Index next(Index i) { return _mm512_add_epi32(i, _mm512_set1_epi32(1)); }
    static void keep(__m512 score, Index number, __m512& best, Index& index) {
        const __mmask16 less = _mm512_cmp_ps_mask(score, best, _CMP_LT_OQ);
        index = _mm512_mask_mov_epi32(index, less, number);
        best = _mm512_min_ps(score, best);
    }
    static void store(uint32_t* p, Index index) { _mm512_storeu_si512(p, index); }
};

}  // namespace
}  // namespace annkit::simd
