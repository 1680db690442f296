// Hamming distances on any machine.
#pragma once

#include "annkit/simd/hamming_planes.h"

namespace annkit::simd {
namespace {

struct Planes128 {
    using Reg [[gnu::vector_size(16), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) { return b ^ c ^ a; }
    static Reg majority(Reg a, Reg b, Reg c) { return (b & c) | ((b ^ c) & a); }  // a arrives last
    static Reg select(Reg mask, Reg a, Reg b) { return b ^ ((a ^ b) & mask); }
    static bool all_set(Reg a) { return (a[0] & a[1]) == ~uint64_t(0); }
};

inline uint64_t count_bits(uint64_t x) {
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    return ((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
}

void fill_hamming(Kernels& k) {
    using Rows = HammingRows<WordBits<count_bits>>;
    k.hamming = Rows::score;
    k.hamming_scan = scan_codes<Rows::scan>;
    k.hamming_tiles = {HammingPlanes<Planes128>::tile(), HammingPlanes<Planes128>::tile()};
}

}  // namespace
}  // namespace annkit::simd
