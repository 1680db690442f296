// Scalar quantization with AVX2. Bottleneck: loads and conversions, some 8 dimensions in 3 cycles.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace affine {

void decode_u8(const uint8_t* codes, const float* low, const float* step, size_t dim, float* out) {
    size_t j = 0;
    for (; j + 8 <= dim; j += 8) {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + j));
        const __m256 code = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
        _mm256_storeu_ps(out + j, _mm256_fmadd_ps(code, _mm256_loadu_ps(step + j), _mm256_loadu_ps(low + j)));
    }
    for (; j < dim; ++j) out[j] = __builtin_fmaf(float(codes[j]), step[j], low[j]);
}

// Clamped first, so that halves round up: trunc(x + 1/2).
void encode_u8(const float* x, const float* low, const float* inverse, float most, size_t dim, uint8_t* codes) {
    const __m256 top = _mm256_set1_ps(most), half = _mm256_set1_ps(0.5f);
    size_t j = 0;
    for (; j + 8 <= dim; j += 8) {
        __m256 code = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + j), _mm256_loadu_ps(low + j)),
                                    _mm256_loadu_ps(inverse + j));
        code = _mm256_add_ps(_mm256_min_ps(_mm256_max_ps(code, _mm256_setzero_ps()), top), half);
        const __m256i ints = _mm256_cvttps_epi32(code);
        const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + j), _mm_packus_epi16(words, words));
    }
    for (; j < dim; ++j) {
        const float code = (x[j] - low[j]) * inverse[j];
        codes[j] = uint8_t((code < 0 ? 0.0f : code > most ? most : code) + 0.5f);
    }
}

}  // namespace affine

void fill_affine(Kernels& k) {
    k.decode_u8 = affine::decode_u8;
    k.encode_u8 = affine::encode_u8;
}

}  // namespace
}  // namespace annkit::simd
