// Hamming distances, AVX2.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"
#include "annkit/simd/hamming_scan.h"

namespace annkit::simd {
namespace {

struct Planes256 {
    using Reg [[gnu::vector_size(32), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) { return b ^ c ^ a; }
    static Reg majority(Reg a, Reg b, Reg c) { return (b & c) | ((b ^ c) & a); }  // a arrives last
    static Reg select(Reg mask, Reg a, Reg b) { return b ^ ((a ^ b) & mask); }
    static bool all_set(Reg a) { return _mm256_testc_si256(__m256i(a), _mm256_set1_epi64x(-1)); }
};

// Bits of nibbles by shuffles, summed up to 64-bit words. At most 15 registers.
class NibbleCount {
  public:
    void add(__m256i bits) {
        const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                               0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i low = _mm256_set1_epi8(15);
        sums_ = _mm256_add_epi8(sums_, _mm256_shuffle_epi8(table, bits & low));
        sums_ = _mm256_add_epi8(sums_, _mm256_shuffle_epi8(table, _mm256_srli_epi16(bits, 4) & low));
    }
    __m256i words() const { return _mm256_sad_epu8(sums_, _mm256_setzero_si256()); }

  private:
    __m256i sums_ = _mm256_setzero_si256();
};

void fill_hamming(Kernels& k) {
    k.hamming = HammingRows256::score;
    k.hamming_scan = scan_codes<Scan256<NibbleCount, HammingRows256::scan>::scan>;
    k.hamming_tiles = {HammingPlanes<Planes256>::tile(), HammingPlanes<Planes256>::tile()};
}

}  // namespace
}  // namespace annkit::simd
