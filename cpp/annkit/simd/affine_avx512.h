// Scalar quantization with AVX-512. Bottleneck: conversions, or the rows' way from memory.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace affine {

// The two sums of a row that AVX2 keeps are the halves of one register: scores are the same to the bit.
void dot_u8(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    constexpr size_t kRows = 8;
    const auto* q = static_cast<const float*>(query);
    for (size_t i = 0; i < n; i += kRows) {
        const uint8_t *x[kRows], *later[kRows];
        for (size_t r = 0; r < kRows; ++r) {
            x[r] = static_cast<const uint8_t*>(rows[i + r < n ? i + r : n - 1]);
            later[r] = static_cast<const uint8_t*>(rows[i + r + kRows < n ? i + r + kRows : n - 1]);
        }
        __m512 sum[kRows];
        for (size_t r = 0; r < kRows; ++r) sum[r] = _mm512_setzero_ps();
        size_t j = 0;
        for (; j + 16 <= dim; j += 16) {
            const __m512 a = _mm512_loadu_ps(q + j);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                if (j % 64 == 0) _mm_prefetch(later[r] + j, _MM_HINT_T0);
                const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x[r] + j));
                sum[r] = _mm512_fmadd_ps(a, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(codes)), sum[r]);
            }
        }
        for (; j < dim; j += 8) {
            const auto mask = __mmask16(dim - j < 8 ? (1u << (dim - j)) - 1 : 255);
            const __m512 a = _mm512_maskz_loadu_ps(mask, q + j);
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                const __m512i codes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, x[r] + j));
                sum[r] = _mm512_mask3_fmadd_ps(a, _mm512_cvtepi32_ps(codes), sum[r], 255);
            }
        }
        __m256 half[kRows];
        for (size_t r = 0; r < kRows; ++r)
            half[r] = _mm256_add_ps(_mm512_castps512_ps256(sum[r]), _mm512_extractf32x8_ps(sum[r], 1));
        for (size_t r = 0; r < kRows && i + r < n; r += 4) {
            const __m256 all =
                _mm256_hadd_ps(_mm256_hadd_ps(half[r], half[r + 1]), _mm256_hadd_ps(half[r + 2], half[r + 3]));
            const __m128 four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
            _mm_mask_storeu_ps(out + i + r, __mmask8(n - i - r < 4 ? (1u << (n - i - r)) - 1 : 15), four);
        }
    }
}

}  // namespace affine

void fill_affine(Kernels& k) { k.dot_u8 = affine::dot_u8; }

}  // namespace
}  // namespace annkit::simd
