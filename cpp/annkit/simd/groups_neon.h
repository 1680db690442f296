// Groups of product quantization at NEON.
#pragma once

#include "annkit/simd/groups.h"

namespace annkit::simd {
namespace {

struct Choice4 {
    using Index = uint32x4_t;
    static Index numbers(uint32_t i) { return vdupq_n_u32(i); }
    static Index next(Index i) { return vaddq_u32(i, vdupq_n_u32(1)); }
    static void keep(float32x4_t score, Index number, float32x4_t& best, Index& index) {
        const uint32x4_t less = vcltq_f32(score, best);
        index = vbslq_u32(less, number, index);
        best = vbslq_f32(less, score, best);
    }
    static void store(uint32_t* p, Index index) { vst1q_u32(p, index); }
};

}  // namespace
}  // namespace annkit::simd
