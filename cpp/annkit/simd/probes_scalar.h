// The machine's limits in plain C++: what one core multiplies, shuffles and reads.
// Bottleneck: whatever the compiler makes of the baseline (x86-64: SSE2 products and sums, no byte shuffle).
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace probes {

// The results go here, so that the loops stay.
volatile float float_sink;
volatile uint64_t sink;

uint64_t fma(uint64_t rounds) {
    constexpr size_t kWidth = 32;
    float acc[kWidth];
    for (size_t i = 0; i < kWidth; ++i) acc[i] = float(i);
    float_sink = 0.999f;
    const float mul = float_sink, add = 1 - mul;
    for (uint64_t round = 0; round < rounds; ++round)
        for (size_t i = 0; i < kWidth; ++i) acc[i] = acc[i] * mul + add;
    float sum = 0;
    for (float x : acc) sum += x;
    float_sink = sum;
    return rounds * kWidth * 2;
}

uint64_t shuffle(uint64_t rounds) {
    uint8_t table[16], index[16], out[16];
    sink = 7;
    const auto odd = uint8_t(sink);
    for (size_t i = 0; i < 16; ++i) table[i] = index[i] = uint8_t(odd * i % 16);
    for (uint64_t round = 0; round < rounds; ++round) {
        for (size_t i = 0; i < 16; ++i) out[i] = table[index[i]];
        for (size_t i = 0; i < 16; ++i) index[i] = out[i];
    }
    for (size_t i = 0; i < 16; ++i) sink = index[i];
    return rounds;
}

uint64_t read(const void* data, size_t bytes) {
    const auto* x = static_cast<const uint64_t*>(data);
    uint64_t sum[16] = {};
    for (size_t i = 0; i < bytes / 8; i += 16)
        for (size_t j = 0; j < 16; ++j) sum[j] ^= x[i + j];
    uint64_t all = 0;
    for (uint64_t s : sum) all ^= s;
    return all;
}

}  // namespace probes

void fill_probes(Kernels& k) { k.probes = {probes::fma, probes::shuffle, probes::read}; }

}  // namespace
}  // namespace annkit::simd
