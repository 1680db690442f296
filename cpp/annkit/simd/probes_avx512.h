// The machine's limits with AVX-512: what one core multiplies and shuffles. Reads are AVX2's, which are faster.
// Bottleneck: each loop its own unit. Zen 4: 117 GFLOP/s, 14.6 G lanes of 16 bytes shuffled a second.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace probes {

volatile float float_sink = 0.999f;
volatile uint64_t sink;

// Twelve chains: two units times a latency of four or five cycles need ten.
uint64_t fma(uint64_t rounds) {
    constexpr size_t kChains = 12;
    const __m512 mul = _mm512_set1_ps(float_sink), add = _mm512_sub_ps(_mm512_set1_ps(1), mul);
    __m512 acc[kChains];
#pragma GCC unroll 12
    for (size_t i = 0; i < kChains; ++i) acc[i] = _mm512_set1_ps(float(i));
    for (uint64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
        for (size_t i = 0; i < kChains; ++i) acc[i] = _mm512_fmadd_ps(acc[i], mul, add);
#pragma GCC unroll 12
    for (size_t i = 1; i < kChains; ++i) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    sink = _mm512_cmp_ps_mask(acc[0], mul, _CMP_LE_OQ);
    return rounds * kChains * 16 * 2;
}

uint64_t shuffle(uint64_t rounds) {
    constexpr size_t kChains = 8;
    const __m512i order = _mm512_set1_epi64(int64_t(sink));
    __m512i acc[kChains];
#pragma GCC unroll 8
    for (size_t i = 0; i < kChains; ++i) acc[i] = _mm512_set1_epi8(char(i));
    for (uint64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 8
        for (size_t i = 0; i < kChains; ++i) acc[i] = _mm512_shuffle_epi8(acc[i], order);
#pragma GCC unroll 8
    for (size_t i = 1; i < kChains; ++i) acc[0] = _mm512_xor_si512(acc[0], acc[i]);
    sink = uint64_t(_mm_cvtsi128_si64(_mm512_castsi512_si128(acc[0])));
    return rounds * kChains * 4;
}

}  // namespace probes

void fill_probes(Kernels& k) {
    k.probes.fma = probes::fma;
    k.probes.shuffle = probes::shuffle;
}

}  // namespace
}  // namespace annkit::simd
