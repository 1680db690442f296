// Levels kept as planes of bits against a float query, with AVX2. Bottleneck: a plane's byte becomes eight lanes in a
// broadcast, an and, a compare and two additions.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace planes {

float dot(const float* q, const uint8_t* top, const uint8_t* rest, size_t count, size_t dim) {
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256 middle = _mm256_set1_ps(float((1u << count) - 1) / 2);
    const size_t bytes = dim / 8;
    // Twice the level so far, and one (minus a compare's -1) where the bit of the next plane down is set.
    const auto next = [&](__m256i level, uint8_t byte) {
        const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(byte), bits), bits);
        return _mm256_sub_epi32(_mm256_add_epi32(level, level), set);
    };
    __m256 sum = _mm256_setzero_ps();
    for (size_t i = 0; i < bytes; ++i) {
        __m256i level = next(_mm256_setzero_si256(), top[i]);
        for (size_t p = count - 1; p-- > 0;) level = next(level, rest[p * bytes + i]);
        sum = _mm256_fmadd_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(level), middle), _mm256_loadu_ps(q + 8 * i), sum);
    }
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// Bottleneck: the loads, two for eight bits.
float above(const float* x, size_t stride, size_t n, const float* threshold, size_t dim, uint8_t* plane) {
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    float sum = 0;
    for (size_t i = 0; i < n; ++i, x += stride) {
        size_t j = 0;
        for (; j + 8 <= dim; j += 8) {
            const __m256 values = _mm256_loadu_ps(x + j);
            const __m256 set = _mm256_cmp_ps(values, _mm256_loadu_ps(threshold + j), _CMP_GT_OQ);
            sums[j / 8 % 2] = _mm256_fmadd_ps(values, values, sums[j / 8 % 2]);
            *plane++ = uint8_t(_mm256_movemask_ps(set));
        }
        if (j == dim) continue;
        unsigned byte = 0;
        for (size_t b = 0; j + b < dim; ++b) {
            byte |= unsigned(x[j + b] > threshold[j + b]) << b;
            sum += x[j + b] * x[j + b];
        }
        *plane++ = uint8_t(byte);
    }
    float all[8];
    _mm256_storeu_ps(all, _mm256_add_ps(sums[0], sums[1]));
    for (const float one : all) sum += one;
    return sum;
}

}  // namespace planes

void fill_planes(Kernels& k) {
    k.plane_dot = planes::dot;
    k.planes_above = planes::above;
}

}  // namespace
}  // namespace annkit::simd
