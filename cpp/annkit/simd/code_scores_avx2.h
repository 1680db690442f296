// Scores of scattered rows of codes for a query in bytes, with AVX2. Queries are of at most 63, so that two products
// fit 16 bits. Bottleneck: the rows' way from memory.
#pragma once

#include <immintrin.h>

#include "annkit/simd/code_scores_sse.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace code_scores {

__m256i load(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }

__m256i add_products(__m256i sum, __m256i x, __m256i q) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, q), _mm256_set1_epi16(1)));
}

template <bool kNibbles>
__m256i step(__m256i sum, __m256i x, __m256i low, __m256i high) {
    if constexpr (!kNibbles) return add_products(sum, x, low);
    const __m256i mask = _mm256_set1_epi8(15);
    sum = add_products(sum, _mm256_and_si256(x, mask), low);
    return add_products(sum, _mm256_and_si256(_mm256_srli_epi16(x, 4), mask), high);
}

// What is left of a row behind its whole vectors: its last 32 bytes, or both halves of a shorter row, which overlap.
// What has been read before meets zeros of the query.
__m256i load_last(const char* x, size_t bytes) {
    if (bytes >= 32) return load(x + bytes - 32);
    if (bytes >= 16) {
        const auto half = [](const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
        return _mm256_inserti128_si256(_mm256_castsi128_si256(half(x)), half(x + bytes - 16), 1);
    }
    alignas(32) char part[32] = {};
    __builtin_memcpy(part, x, bytes);
    return load(part);
}

__m256i last_of_query(const int8_t* query, size_t bytes) {
    const size_t first = bytes < 16 ? bytes : (bytes < 32 ? 16 : 0), rest = (bytes - first) % 32;
    alignas(32) int8_t last[32] = {};
    __builtin_memcpy(last, query, first);
    __builtin_memcpy(last + 32 - rest, query + bytes - rest, rest);
    return load(last);
}

template <bool kNibbles>
void run(const CodeQuery& of, const void* const* rows, size_t n, float* out) {
    const int8_t* query = of.values;
    const size_t bytes = of.bytes;
    const int8_t* high = kNibbles ? query + (bytes + 63) / 64 * 64 : query;
    const __m256i last = last_of_query(query, bytes), last_high = last_of_query(high, bytes);
    for (size_t i = 0; i < n; i += 4) {
        const char* x[4];
        for (size_t r = 0; r < 4; ++r) x[r] = static_cast<const char*>(rows[i + r < n ? i + r : n - 1]);
        __m256i sum[4];
        for (__m256i& one : sum) one = _mm256_setzero_si256();
        size_t j = 0;
        for (; j + 32 <= bytes; j += 32) {
            const __m256i a = load(query + j), b = load(high + j);
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], load(x[r] + j), a, b);
        }
        if (j < bytes) {
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], load_last(x[r], bytes), last, last_high);
        }
        const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
        const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        const __m128 scores = finish(of, sums, x);
        if (n - i >= 4) {
            _mm_storeu_ps(out + i, scores);
            continue;
        }
        alignas(16) float four[4];
        _mm_store_ps(four, scores);
        for (size_t r = 0; i + r < n; ++r) out[i + r] = four[r];
    }
}

}  // namespace code_scores

void fill_code_scores(Kernels& k) {
    k.byte_scores = code_scores::run<false>;
    k.nibble_scores = code_scores::run<true>;
}

}  // namespace
}  // namespace annkit::simd
