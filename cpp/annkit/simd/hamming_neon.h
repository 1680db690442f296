// Hamming distances, NEON. Bottleneck: one plane loaded and one full adder of 3 operations (two eor, one bsl) a 2 bits
// of 128 codes.
#pragma once

#include <arm_neon.h>

#include "annkit/simd/hamming_planes.h"

namespace annkit::simd {
namespace {

struct PlanesNeon {
    using Reg [[gnu::vector_size(16), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) { return b ^ c ^ a; }
    static Reg majority(Reg a, Reg b, Reg c) { return select(b ^ c, a, b); }
    static Reg select(Reg mask, Reg a, Reg b) { return Reg(vbslq_u64(uint64x2_t(mask), uint64x2_t(a), uint64x2_t(b))); }
    static bool all_set(Reg a) { return (a[0] & a[1]) == ~uint64_t(0); }
};

struct NeonBits {
    [[gnu::always_inline]] static inline uint64_t distance(const uint8_t* a, const uint8_t* b, size_t bytes) {
        uint32x4_t sums = vdupq_n_u32(0);
        size_t i = 0;
        for (; i + 16 <= bytes; i += 16) {
            const uint8x16_t bits = veorq_u8(vld1q_u8(a + i), vld1q_u8(b + i));
            sums = vpadalq_u16(sums, vpaddlq_u8(vcntq_u8(bits)));
        }
        uint64_t sum = vaddvq_u32(sums);
        for (; i < bytes; i += 8) {
            const uint64_t bits = load_bits(a, bytes, i / 8) ^ load_bits(b, bytes, i / 8);
            sum += vaddv_u8(vcnt_u8(vcreate_u8(bits)));
        }
        return sum;
    }
};

void fill_hamming(Kernels& k) {
    k.hamming = HammingRows<NeonBits>::score;
    k.hamming_scan = scan_codes<HammingRows<NeonBits>::scan>;
    k.hamming_tiles = {HammingPlanes<PlanesNeon>::tile(), HammingPlanes<PlanesNeon>::tile()};
}

}  // namespace
}  // namespace annkit::simd
