// Dots of a query in bytes and scattered rows of codes, with AVX-512 VNNI. Bottleneck: the rows' way from memory.
#pragma once

#include <immintrin.h>

#include "annkit/simd/bytes_avx512.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace dots {

// A line of codes of one row, times the query's.
template <bool kNibbles>
bytes::Sums step(bytes::Sums sum, __m512i x, __m512i low, __m512i high) {
    if constexpr (!kNibbles) return bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), x, low));
    const __m512i mask = _mm512_set1_epi8(15);
    sum = bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), _mm512_and_si512(x, mask), low));
    return bytes::Sums(_mm512_dpbusd_epi32(__m512i(sum), _mm512_and_si512(_mm512_srli_epi16(x, 4), mask), high));
}

template <bool kNibbles>
void run(const int8_t* query, const void* const* rows, size_t bytes, size_t n, int32_t* out) {
    const int8_t* high = kNibbles ? query + (bytes + 63) / 64 * 64 : query;
    const size_t whole = bytes / 64 * 64;
    const __mmask64 rest = bytes::first64(bytes - whole);
    for (size_t i = 0; i < n; i += 4) {
        const char* x[4];
        for (size_t r = 0; r < 4; ++r) x[r] = static_cast<const char*>(rows[i + r < n ? i + r : n - 1]);
        bytes::Sums sum[4] = {bytes::Sums{}, bytes::Sums{}, bytes::Sums{}, bytes::Sums{}};
        size_t j = 0;
        for (; j < whole; j += 64) {
            const __m512i a = _mm512_loadu_si512(query + j), b = _mm512_loadu_si512(high + j);
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], _mm512_loadu_si512(x[r] + j), a, b);
        }
        if (rest) {
            const __m512i a = _mm512_loadu_si512(query + j), b = _mm512_loadu_si512(high + j);
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) sum[r] = step<kNibbles>(sum[r], _mm512_maskz_loadu_epi8(rest, x[r] + j), a, b);
        }
        const __m128i four = bytes::add_up(sum);
        if (n - i >= 4)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), four);
        else
            _mm_mask_storeu_epi32(out + i, __mmask8(bytes::first32(n - i)), four);
    }
}

}  // namespace dots

void fill_dots(Kernels& k) {
    k.byte_dots = dots::run<false>;
    k.nibble_dots = dots::run<true>;
}

}  // namespace
}  // namespace annkit::simd
