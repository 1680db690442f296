// Sketches of 32 bits against a query's, plain C++. Bottleneck: counting bits.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

namespace words {

inline uint32_t count_bits(uint32_t x) {
    x -= (x >> 1) & 0x55555555u;
    x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0fu;
    return (x * 0x01010101u) >> 24;
}

size_t near(const uint32_t* words, const WordRun* runs, size_t n, uint32_t query, uint32_t most, uint32_t* out) {
    size_t found = 0;
    for (size_t r = 0; r < n; ++r)
        for (uint32_t i = runs[r].first; i < runs[r].last; ++i) {
            out[found] = i;
            found += count_bits(words[i] ^ query) <= most;
        }
    return found;
}

}  // namespace words

void fill_words(Kernels& k) { k.near_words = words::near; }

}  // namespace
}  // namespace annkit::simd
