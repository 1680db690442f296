// Half floats (f16, bf16) to float32 and back, and the choice of scores by a bound, with NEON.
// Bottleneck: loads and stores. Not measured: no such machine was at hand.
#pragma once

#include <arm_neon.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace convert {

struct F16 {
    static float32x4_t from(uint16x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(x)); }
    static uint16x4_t to(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }
};

struct Bf16 {
    static float32x4_t from(uint16x4_t x) { return vreinterpretq_f32_u32(vshll_n_u16(x, 16)); }
    static uint16x4_t to(float32x4_t x) {
        const uint32x4_t bits = vreinterpretq_u32_f32(x), high = vshrq_n_u32(bits, 16);
        const uint32x4_t half = vaddq_u32(vandq_u32(high, vdupq_n_u32(1)), vdupq_n_u32(0x7fff));
        const uint32x4_t rounded = vshrq_n_u32(vaddq_u32(bits, half), 16);
        return vmovn_u32(vbslq_u32(vceqq_f32(x, x), rounded, vorrq_u32(high, vdupq_n_u32(0x40))));
    }
};

template <class Half>
void widen(const uint16_t* in, size_t n, float* out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1q_f32(out + i, Half::from(vld1_u16(in + i)));
    if (i == n) return;
    uint16_t last[4] = {};
    float values[4];
    for (size_t j = i; j < n; ++j) last[j - i] = in[j];
    vst1q_f32(values, Half::from(vld1_u16(last)));
    for (size_t j = i; j < n; ++j) out[j] = values[j - i];
}

template <class Half>
void narrow(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) vst1_u16(out + i, Half::to(vld1q_f32(in + i)));
    if (i == n) return;
    float last[4] = {};
    uint16_t values[4];
    for (size_t j = i; j < n; ++j) last[j - i] = in[j];
    vst1_u16(values, Half::to(vld1q_f32(last)));
    for (size_t j = i; j < n; ++j) out[j] = values[j - i];
}

size_t select(const float* scores, size_t n, float bound, uint32_t* out) {
    const float32x4_t most = vdupq_n_f32(bound);
    size_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        const uint32x4_t low = vcleq_f32(vld1q_f32(scores + i), most);
        const uint32x4_t high = vcleq_f32(vld1q_f32(scores + i + 4), most);
        if (vmaxvq_u32(vorrq_u32(low, high)) == 0) continue;
        for (size_t j = i; j < i + 8; ++j)
            if (scores[j] <= bound) out[found++] = uint32_t(j);
    }
    for (; i < n; ++i)
        if (scores[i] <= bound) out[found++] = uint32_t(i);
    return found;
}

}  // namespace convert

void fill_convert(Kernels& k) {
    k.widen[0] = convert::widen<convert::F16>;
    k.widen[1] = convert::widen<convert::Bf16>;
    k.narrow[0] = convert::narrow<convert::F16>;
    k.narrow[1] = convert::narrow<convert::Bf16>;
    k.select = convert::select;
}

}  // namespace
}  // namespace annkit::simd
