// What the sums of four rows of codes become, with SSE: the same operations in the same order as in plain C++.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace code_scores {

inline float add_of(const CodeQuery& query, const char* row) {
    float add;
    __builtin_memcpy(&add, row + query.add_at, sizeof add);
    return add;
}

inline __m128 finish(const CodeQuery& query, __m128i sums, const char* const (&rows)[4]) {
    const __m128 scores =
        _mm_add_ps(_mm_set1_ps(query.base), _mm_mul_ps(_mm_set1_ps(query.mul), _mm_cvtepi32_ps(sums)));
    if (query.add_at == 0) return scores;
    return _mm_add_ps(scores, _mm_setr_ps(add_of(query, rows[0]), add_of(query, rows[1]), add_of(query, rows[2]),
                                          add_of(query, rows[3])));
}

}  // namespace code_scores
}  // namespace
}  // namespace annkit::simd
