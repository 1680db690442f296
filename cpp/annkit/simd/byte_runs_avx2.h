// Rows of codes that follow each other for a query in bytes, with AVX2.
// Bottleneck: a vpmaddubsw, a vpmaddwd and a vpaddd for 32 codes, and adding up along rows.
#pragma once

#include <immintrin.h>

#include "annkit/simd/codes_avx2.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace byte_runs {

inline constexpr size_t kRows = 4;

// Instead of rows that do not exist the last.
void run(const CodeQuery& query, const CodeRows& rows, float* out) {
    const auto load = [](const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); };
    const __m256i left = _mm256_set1_epi32(int(byte_codes::groups(query.bytes % 32)));
    const __m256i mask = _mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    for (size_t row = 0; row < rows.n; row += kRows) {
        const size_t last = (rows.n - row < kRows ? rows.n - row : kRows) - 1;
        const uint8_t* x[kRows];
        for (size_t r = 0; r < kRows; ++r) x[r] = rows.codes + (row + (r < last ? r : last)) * rows.stride;
        bytes::Sums sums[kRows] = {};
        size_t j = 0;
        for (; j + 32 <= query.bytes; j += 32) {
            const __m256i values = load(query.values + j);
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r) sums[r] = byte_codes::multiply(sums[r], load(x[r] + j), values);
        }
        if (j < query.bytes) {
            const __m256i values = load(query.values + j);
#pragma GCC unroll 4
            for (size_t r = 0; r < kRows; ++r)
                sums[r] = byte_codes::multiply(
                    sums[r], _mm256_maskload_epi32(reinterpret_cast<const int*>(x[r] + j), mask), values);
        }
        alignas(16) float products[kRows];
        _mm_store_ps(products, _mm_mul_ps(_mm_cvtepi32_ps(bytes::add_up(sums)), _mm_set1_ps(query.mul)));
        for (size_t r = 0; r <= last; ++r) out[row + r] = (query.base + rows.add[row + r]) + products[r];
    }
}

}  // namespace byte_runs

void fill_byte_runs(Kernels& k) { k.byte_run = byte_runs::run; }

}  // namespace
}  // namespace annkit::simd
