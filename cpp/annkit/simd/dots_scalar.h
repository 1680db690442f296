// Dots of a query in bytes and scattered rows of codes, in plain C++.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace dots {

size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

void bytes(const int8_t* query, const void* const* rows, size_t bytes, size_t n, int32_t* out) {
    for (size_t i = 0; i < n; ++i) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        int32_t sum = 0;
        for (size_t j = 0; j < bytes; ++j) sum += int32_t(query[j]) * int32_t(x[j]);
        out[i] = sum;
    }
}

void nibbles(const int8_t* query, const void* const* rows, size_t bytes, size_t n, int32_t* out) {
    const int8_t* high = query + whole_lines(bytes);
    for (size_t i = 0; i < n; ++i) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        int32_t sum = 0;
        for (size_t j = 0; j < bytes; ++j)
            sum += int32_t(query[j]) * int32_t(x[j] & 15) + int32_t(high[j]) * int32_t(x[j] >> 4);
        out[i] = sum;
    }
}

}  // namespace dots

void fill_dots(Kernels& k) {
    k.byte_dots = dots::bytes;
    k.nibble_dots = dots::nibbles;
}

}  // namespace
}  // namespace annkit::simd
