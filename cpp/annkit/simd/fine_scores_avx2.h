// Rows of codes that follow each other for a query in two bytes an element, with AVX2.
// Bottleneck: a vpmaddubsw, a vpmaddwd and a vpaddd, twice for 32 codes, and adding up along rows.
#pragma once

#include <immintrin.h>

#include "annkit/simd/codes_avx2.h"
#include "annkit/simd/kernels.h"
#include "annkit/simd/prefetch.h"

namespace annkit::simd {
namespace {
namespace fine_scores {

using bytes::Sums;
inline constexpr size_t kRows = 4;

__m256i load(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }

// The first n < 32 bytes, then zeros.
__m256i load_first(const void* x, size_t n) {
    alignas(32) uint8_t part[32] = {};
    __builtin_memcpy(part, x, n);
    return load(part);
}

__m256 as_floats(Sums sums) { return _mm256_cvtepi32_ps(__m256i(sums)); }

// Instead of rows that do not exist the last.
void run(const FineQuery& query, const CodeRows& rows, float* out) {
    const __m256 high_mul = _mm256_set1_ps(query.high_mul), low_mul = _mm256_set1_ps(query.low_mul);
    for (size_t row = 0; row < rows.n; row += kRows) {
        const size_t last = (rows.n - row < kRows ? rows.n - row : kRows) - 1;
        const uint8_t *x = rows.codes + row * rows.stride, *at[kRows];
        for (size_t r = 0; r < kRows; ++r) at[r] = x + (r < last ? r : last) * rows.stride;
        Sums high[kRows] = {}, low[kRows] = {};
        const auto step = [&](size_t j, auto read) __attribute__((always_inline)) {
            const __m256i a = read(query.high + j), b = read(query.low + j);
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) {
                prefetch(at[r] + j + kFetchAhead);
                const __m256i codes = read(at[r] + j);
                high[r] = byte_codes::multiply(high[r], codes, a);
                low[r] = byte_codes::multiply(low[r], codes, b);
            }
        };
        size_t j = 0;
        for (; j + 32 <= rows.dim; j += 32) step(j, [](const void* from) { return load(from); });
        if (j < rows.dim) step(j, [n = rows.dim - j](const void* from) { return load_first(from, n); });
        __m256 sums[kRows];
        for (size_t r = 0; r < kRows; ++r)
            sums[r] = _mm256_fmadd_ps(as_floats(high[r]), high_mul, _mm256_mul_ps(as_floats(low[r]), low_mul));
        const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(sums[0], sums[1]), _mm256_hadd_ps(sums[2], sums[3]));
        const __m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
        alignas(16) float scores[kRows];
        _mm_store_ps(scores, four);
        for (size_t r = 0; r <= last; ++r) out[row + r] = (query.base + rows.add[row + r]) + scores[r];
    }
}

}  // namespace fine_scores

void fill_fine_scores(Kernels& k) { k.fine_scores = fine_scores::run; }

}  // namespace
}  // namespace annkit::simd
