// Levels kept as planes of bits against a float query. Bottleneck: per plane and four entries a masked weight from a
// table is loaded and added.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace planes {

struct Nibbles {
    float bit[16][4];
};
constexpr Nibbles make_nibbles() {
    Nibbles out{};
    for (unsigned code = 0; code < 16; ++code)
        for (unsigned j = 0; j < 4; ++j) out.bit[code][j] = float(code >> j & 1);
    return out;
}
constexpr Nibbles kNibbles = make_nibbles();

float dot(const float* q, const uint8_t* top, const uint8_t* rest, size_t count, size_t dim) {
    const float middle = float((1u << count) - 1) / 2;
    float sums[8] = {};
    for (size_t i = 0; i < dim / 8; ++i, q += 8) {
        float level[8];
        for (float& value : level) value = -middle;
        for (size_t p = 0; p < count; ++p) {
            const unsigned byte = p + 1 < count ? rest[p * (dim / 8) + i] : top[i];
            const float weight = float(1u << p);
            for (size_t j = 0; j < 4; ++j) level[j] += weight * kNibbles.bit[byte & 15][j];
            for (size_t j = 0; j < 4; ++j) level[4 + j] += weight * kNibbles.bit[byte >> 4][j];
        }
        for (size_t j = 0; j < 8; ++j) sums[j] += level[j] * q[j];
    }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

float above(const float* x, size_t stride, size_t n, const float* threshold, size_t dim, uint8_t* plane) {
    float sums[8] = {};
    for (size_t i = 0; i < n; ++i, x += stride)
        for (size_t first = 0; first < dim; first += 8) {
            const size_t count = dim - first < 8 ? dim - first : 8;
            unsigned byte = 0;
            for (size_t j = 0; j < count; ++j) {
                byte |= unsigned(x[first + j] > threshold[first + j]) << j;
                sums[j] += x[first + j] * x[first + j];
            }
            *plane++ = uint8_t(byte);
        }
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace planes

void fill_planes(Kernels& k) {
    k.plane_dot = planes::dot;
    k.planes_above = planes::above;
}

}  // namespace
}  // namespace annkit::simd
