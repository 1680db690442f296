// The machine's limits with NEON: what one core multiplies, shuffles and reads.
// Bottleneck: each loop its own unit. Not measured: no such machine was at hand.
#pragma once

#include <arm_neon.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace probes {

volatile float float_sink = 0.999f;
volatile uint64_t sink;

// Sixteen chains: four units times a latency of four cycles.
uint64_t fma(uint64_t rounds) {
    constexpr size_t kChains = 16;
    const float32x4_t mul = vdupq_n_f32(float_sink), add = vsubq_f32(vdupq_n_f32(1), mul);
    float32x4_t acc[kChains];
#pragma GCC unroll 16
    for (size_t i = 0; i < kChains; ++i) acc[i] = vdupq_n_f32(float(i));
    for (uint64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
        for (size_t i = 0; i < kChains; ++i) acc[i] = vfmaq_f32(add, acc[i], mul);
#pragma GCC unroll 16
    for (size_t i = 1; i < kChains; ++i) acc[0] = vaddq_f32(acc[0], acc[i]);
    float_sink = vaddvq_f32(acc[0]) * 0.0f + 0.999f;
    return rounds * kChains * 4 * 2;
}

uint64_t shuffle(uint64_t rounds) {
    constexpr size_t kChains = 8;
    const uint8x16_t order = vdupq_n_u8(uint8_t(sink));
    uint8x16_t acc[kChains];
#pragma GCC unroll 8
    for (size_t i = 0; i < kChains; ++i) acc[i] = vdupq_n_u8(uint8_t(i));
    for (uint64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
        for (size_t i = 0; i < kChains; ++i) acc[i] = vqtbl1q_u8(acc[i], order);
#pragma GCC unroll 8
    for (size_t i = 1; i < kChains; ++i) acc[0] = veorq_u8(acc[0], acc[i]);
    sink = vgetq_lane_u64(vreinterpretq_u64_u8(acc[0]), 0);
    return rounds * kChains;
}

uint64_t read(const void* data, size_t bytes) {
    const auto* x = static_cast<const uint8_t*>(data);
    uint8x16_t acc[8];
    for (size_t j = 0; j < 8; ++j) acc[j] = vdupq_n_u8(0);
    for (size_t i = 0; i < bytes; i += 128)
        for (size_t j = 0; j < 8; ++j) acc[j] = vorrq_u8(acc[j], vld1q_u8(x + i + 16 * j));
    for (size_t j = 1; j < 8; ++j) acc[0] = vorrq_u8(acc[0], acc[j]);
    const uint64x2_t all = vreinterpretq_u64_u8(acc[0]);
    return vgetq_lane_u64(all, 0) | vgetq_lane_u64(all, 1);
}

}  // namespace probes

void fill_probes(Kernels& k) { k.probes = {probes::fma, probes::shuffle, probes::read}; }

}  // namespace
}  // namespace annkit::simd
