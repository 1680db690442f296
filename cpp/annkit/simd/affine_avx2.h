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

// Eight codes as floats; the last few of a row without reading beyond it.
__m256 load_u8(const uint8_t* x) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x))));
}
__m256 load_u8(const uint8_t* x, size_t n) {
    uint8_t all[8] = {};
    for (size_t i = 0; i < n; ++i) all[i] = x[i];
    return load_u8(all);
}

// Four rows at once, two sums a row, with the next four on their way; the order of additions depends on dim alone.
void dot_u8(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    const auto* q = static_cast<const float*>(query);
    for (size_t i = 0; i < n; i += 4) {
        const uint8_t *x[4], *later[4];
        for (size_t r = 0; r < 4; ++r) {
            x[r] = static_cast<const uint8_t*>(rows[i + r < n ? i + r : n - 1]);
            later[r] = static_cast<const uint8_t*>(rows[i + r + 4 < n ? i + r + 4 : n - 1]);
        }
        __m256 even[4], odd[4];
        for (size_t r = 0; r < 4; ++r) even[r] = odd[r] = _mm256_setzero_ps();
        size_t j = 0;
        for (; j + 16 <= dim; j += 16) {
            const __m256 a = _mm256_loadu_ps(q + j), b = _mm256_loadu_ps(q + j + 8);
#pragma GCC unroll 4
            for (size_t r = 0; r < 4; ++r) {
                if (j % 64 == 0) _mm_prefetch(later[r] + j, _MM_HINT_T0);
                even[r] = _mm256_fmadd_ps(a, load_u8(x[r] + j), even[r]);
                odd[r] = _mm256_fmadd_ps(b, load_u8(x[r] + j + 8), odd[r]);
            }
        }
        for (; j < dim; j += 8) {
            const size_t left = dim - j < 8 ? dim - j : 8;
            float part[8] = {};
            for (size_t t = 0; t < left; ++t) part[t] = q[j + t];
            for (size_t r = 0; r < 4; ++r)
                even[r] = _mm256_fmadd_ps(_mm256_loadu_ps(part), load_u8(x[r] + j, left), even[r]);
        }
        __m256 sum[4];
        for (size_t r = 0; r < 4; ++r) sum[r] = _mm256_add_ps(even[r], odd[r]);
        const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(sum[0], sum[1]), _mm256_hadd_ps(sum[2], sum[3]));
        alignas(16) float four[4];
        _mm_store_ps(four, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
        for (size_t r = 0; r < 4 && i + r < n; ++r) out[i + r] = four[r];
    }
}

// 24 bytes become 32 codes: three bytes to each 32-bit lane, then each code to its byte. Loads of 16 bytes stay within
// the row: at its end the loop of four codes takes over.
void unpack6(const uint8_t* packed, size_t dim, uint8_t* codes) {
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 0, 1, 2, -1, 3, 4, 5,
                                            -1, 6, 7, 8, -1, 9, 10, 11, -1);
    size_t j = 0;
    for (; j + 40 <= dim; j += 32, packed += 24) {
        const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed));
        const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + 12));
        const __m256i x = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), spread);
        const __m256i first = _mm256_and_si256(x, _mm256_set1_epi32(0x3f));
        const __m256i second = _mm256_and_si256(_mm256_slli_epi32(x, 2), _mm256_set1_epi32(0x3f00));
        const __m256i third = _mm256_and_si256(_mm256_slli_epi32(x, 4), _mm256_set1_epi32(0x3f0000));
        const __m256i fourth = _mm256_and_si256(_mm256_slli_epi32(x, 6), _mm256_set1_epi32(0x3f000000));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + j),
                            _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth)));
    }
    for (; j < dim; j += 4, packed += 3) {
        const unsigned four = packed[0] | unsigned(packed[1]) << 8 | unsigned(packed[2]) << 16;
        for (size_t i = 0; i < 4; ++i) codes[j + i] = four >> 6 * i & 63;
    }
}

}  // namespace affine

void fill_affine(Kernels& k) {
    k.decode_u8 = affine::decode_u8;
    k.encode_u8 = affine::encode_u8;
    k.dot_u8 = affine::dot_u8;
    k.unpack6 = affine::unpack6;
}

}  // namespace
}  // namespace annkit::simd
