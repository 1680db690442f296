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

}  // namespace affine

void fill_affine(Kernels& k) {
    k.decode_u8 = affine::decode_u8;
    k.encode_u8 = affine::encode_u8;
}

}  // namespace
}  // namespace annkit::simd
