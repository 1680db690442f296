// Scores of scattered rows of codes for a query in bytes, with AVX-512 VNNI. Bottleneck: the rows' way from memory.
#pragma once

#include <immintrin.h>

#include "annkit/simd/bytes_avx512.h"
#include "annkit/simd/code_scores_sse.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace code_scores {

// A line of codes of one row, times the query's.
template <bool kNibbles>
bytes::Sums step(bytes::Sums sum, __m512i x, __m512i low, __m512i high) {
    if constexpr (!kNibbles) return bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), x, low));
    const __m512i mask = _mm512_set1_epi8(15);
    sum = bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), _mm512_and_si512(x, mask), low));
    return bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), _mm512_and_si512(_mm512_srli_epi16(x, 4), mask), high));
}

// What is left of a row behind its whole lines, read without a byte of another row: a masked load of 64 bytes that
// crosses into the next line waits for it, which nobody has asked for. It is the row's last 64 bytes, or both halves of
// a shorter row, 32 or 16 bytes each, which overlap; what has been read before meets zeros of the query.
template <size_t kLast>
__m512i load_last(const char* x, size_t bytes) {
    const auto* last = x + bytes - kLast;
    if constexpr (kLast == 64) {
        return _mm512_loadu_si512(last);
    } else if constexpr (kLast == 32) {
        const auto half = [](const char* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); };
        return _mm512_inserti64x4(_mm512_castsi256_si512(half(x)), half(last), 1);
    } else if constexpr (kLast == 16) {
        const auto half = [](const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); };
        return _mm512_zextsi256_si512(_mm256_inserti128_si256(_mm256_castsi128_si256(half(x)), half(last), 1));
    } else {
        return _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(__mmask16(bytes::first32(bytes)), x));
    }
}

// The query for it.
template <size_t kLast>
__m512i last_of_query(const int8_t* query, size_t bytes) {
    const size_t first = kLast == 64 ? 0 : kLast, twice = kLast == 64 ? 64 - bytes % 64 : 2 * kLast - bytes;
    const __mmask64 once = kLast == 0 ? ~__mmask64(0) : bytes::first64(first) | ~bytes::first64(first + twice);
    return _mm512_maskz_mov_epi8(once, load_last<kLast>(reinterpret_cast<const char*>(query), bytes));
}

template <bool kNibbles, size_t kLast>
void score_rows(const CodeQuery& of, const void* const* rows, size_t n, float* out) {
    const int8_t* query = of.values;
    const size_t bytes = of.bytes;
    const int8_t* high = kNibbles ? query + (bytes + 63) / 64 * 64 : query;
    const size_t whole = bytes / 64 * 64;
    const __m512i last = last_of_query<kLast>(query, bytes), last_high = last_of_query<kLast>(high, bytes);
    for (size_t i = 0; i < n; i += 4) {
        const char* x[4];
        for (size_t r = 0; r < 4; ++r) x[r] = static_cast<const char*>(rows[i + r < n ? i + r : n - 1]);
        bytes::Sums sum[4] = {bytes::Sums{}, bytes::Sums{}, bytes::Sums{}, bytes::Sums{}};
        for (size_t j = 0; kLast == 64 && j < whole; j += 64) {
            const __m512i a = _mm512_loadu_si512(query + j), b = _mm512_loadu_si512(high + j);
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], _mm512_loadu_si512(x[r] + j), a, b);
        }
        if (kLast != 64 || whole < bytes) {
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], load_last<kLast>(x[r], bytes), last, last_high);
        }
        const __m128 four = finish(of, bytes::add_up(sum), x);
        if (n - i >= 4)
            _mm_storeu_ps(out + i, four);
        else
            _mm_mask_storeu_ps(out + i, __mmask8(bytes::first32(n - i)), four);
    }
}

template <bool kNibbles>
void run(const CodeQuery& query, const void* const* rows, size_t n, float* out) {
    if (query.bytes >= 64) return score_rows<kNibbles, 64>(query, rows, n, out);
    if (query.bytes >= 32) return score_rows<kNibbles, 32>(query, rows, n, out);
    if (query.bytes >= 16) return score_rows<kNibbles, 16>(query, rows, n, out);
    return score_rows<kNibbles, 0>(query, rows, n, out);
}

}  // namespace code_scores

void fill_code_scores(Kernels& k) {
    k.byte_scores = code_scores::run<false>;
    k.nibble_scores = code_scores::run<true>;
}

}  // namespace
}  // namespace annkit::simd
