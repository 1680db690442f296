// NEON, part of every aarch64 processor.
#include <arm_neon.h>

#include "annkit/simd/bytes_neon.h"
#include "annkit/simd/convert_neon.h"
#include "annkit/simd/float_kernels.h"
#include "annkit/simd/groups_neon.h"
#include "annkit/simd/hadamard_kernels.h"
#include "annkit/simd/hamming_neon.h"
#include "annkit/simd/near_pool.h"
#include "annkit/simd/nearest_float.h"
#include "annkit/simd/probes_neon.h"
#include "annkit/simd/product_kernels.h"
#include "annkit/simd/product_tables.h"

namespace annkit::simd {
namespace {

struct F32x4 {
    using Reg = float32x4_t;
    static constexpr size_t kLanes = 4;
    static Reg zero() { return vdupq_n_f32(0); }
    static Reg set1(float x) { return vdupq_n_f32(x); }
    static Reg load(const float* p) { return vld1q_f32(p); }
    static Reg load(const Half* p) {
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p))));
    }
    static Reg load(const Bf16* p) {
        return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)), 16));
    }
    static Reg join(const Split* upper, const Split* lower) {
        const uint32x4_t rounded = vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(upper)), 16);
        const int16x4_t rest = vld1_s16(reinterpret_cast<const int16_t*>(lower));
        return vreinterpretq_f32_u32(vreinterpretq_u32_s32(vaddw_s16(vreinterpretq_s32_u32(rounded), rest)));
    }
    static Reg join_part(const Split* upper, const Split* lower, size_t n) {
        Split whole[8] = {};
        for (size_t i = 0; i < n; ++i) whole[i] = upper[i], whole[4 + i] = lower[i];
        return join(whole, whole + 4);
    }
    template <class T>
    static Reg load_part(const T* p, size_t n) {
        T whole[4] = {};
        for (size_t i = 0; i < n; ++i) whole[i] = p[i];
        return load(whole);
    }
    static void store(float* p, Reg x) { vst1q_f32(p, x); }
    static Reg add(Reg a, Reg b) { return vaddq_f32(a, b); }
    static Reg sub(Reg a, Reg b) { return vsubq_f32(a, b); }
    static Reg fma(Reg a, Reg b, Reg c) { return vfmaq_f32(c, a, b); }
    static Reg min(Reg a, Reg b) { return vminq_f32(a, b); }
    static uint32x4_t lt(Reg a, Reg b) { return vcltq_f32(a, b); }
    static Reg select(uint32x4_t mask, Reg a, Reg b) { return vbslq_f32(mask, a, b); }
    static Reg bits(uint32_t x) { return vreinterpretq_f32_u32(vdupq_n_u32(x)); }
    template <size_t H>
    static Reg swap(Reg x) {
        return H == 1 ? vrev64q_f32(x) : vextq_f32(x, x, 2);
    }
    static uint32_t le(Reg a, Reg b) {
        const uint32x4_t weights = {1, 2, 4, 8};
        return vaddvq_u32(vandq_u32(vcleq_f32(a, b), weights));
    }
    static void sum4(Reg a, Reg b, Reg c, Reg d, float* out) {
        vst1q_f32(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
    }
};

}  // namespace

void fill_neon(Kernels& k) {
    fill_float_rows<F32x4>(k);
    fill_float_tiles<F32x4, 2, 9, 1, 12>(k);
    fill_nearest<F32x4, 2, 9>(k);
    fill_product<F32x4, 9, 2, 6, 8>(k);
    fill_tables<F32x4>(k);
    k.hadamard = hadamard<F32x4>;
    k.nearest_in_group = nearest_in_group<F32x4, Choice4, 4>;
    fill_bytes(k);
    fill_hamming(k);
    fill_convert(k);
    k.push_near = pool::push;
    fill_probes(k);
}

}  // namespace annkit::simd
