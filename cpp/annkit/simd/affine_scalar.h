// Scalar quantization in plain C++.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace affine {

void decode_u8(const uint8_t* codes, const float* low, const float* step, size_t dim, float* out) {
    for (size_t j = 0; j < dim; ++j) out[j] = low[j] + step[j] * float(codes[j]);
}

void encode_u8(const float* x, const float* low, const float* inverse, float most, size_t dim, uint8_t* codes) {
    for (size_t j = 0; j < dim; ++j) {
        const float code = (x[j] - low[j]) * inverse[j];
        const float clamped = code < 0 ? 0.0f : code > most ? most : code;
        codes[j] = uint8_t(clamped + 0.5f);
    }
}

void dot_u8(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    const auto* q = static_cast<const float*>(query);
    for (size_t i = 0; i < n; ++i) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        float sums[4] = {};
        for (size_t j = 0; j < dim; ++j) sums[j % 4] += q[j] * float(x[j]);
        out[i] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
}

void unpack6(const uint8_t* packed, size_t dim, uint8_t* codes) {
    for (size_t j = 0; j < dim; j += 4, packed += 3) {
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
