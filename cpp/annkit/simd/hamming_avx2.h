// Hamming distances, AVX2.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"

namespace annkit::simd {
namespace {

struct Planes256 {
    using Reg [[gnu::vector_size(32), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) { return b ^ c ^ a; }
    static Reg majority(Reg a, Reg b, Reg c) { return (b & c) | ((b ^ c) & a); }  // a arrives last
    static Reg select(Reg mask, Reg a, Reg b) { return b ^ ((a ^ b) & mask); }
    static bool all_set(Reg a) { return _mm256_testc_si256(__m256i(a), _mm256_set1_epi64x(-1)); }
};

inline uint64_t count_bits(uint64_t x) { return uint64_t(_mm_popcnt_u64(x)); }

using HammingRows256 = HammingRows<WordBits<count_bits>>;

// Codes in contiguous memory, four at a time: bits of nibbles by shuffles, summed up to 64-bit words.
class Scan256 {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        switch (bytes) {
            case 8: return run<8>(query, codes, n, out);
            case 16: return run<16>(query, codes, n, out);
            case 32: return run<32>(query, codes, n, out);
            case 64: return run<64>(query, codes, n, out);
            case 128: return run<128>(query, codes, n, out);
            default: return HammingRows256::scan(query, codes, bytes, n, out);
        }
    }

  private:
    using Words = Planes256::Reg;
    using Bytes [[gnu::vector_size(32)]] = uint8_t;

    static __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

    static Bytes count_bytes(__m256i bits) {
        const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                               0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
        const __m256i low = _mm256_set1_epi8(15);
        return Bytes(_mm256_shuffle_epi8(table, bits & low)) +
               Bytes(_mm256_shuffle_epi8(table, _mm256_srli_epi16(bits, 4) & low));
    }
    template <size_t kRegs>
    static Words count(const Words* query, const uint8_t* p) {
        Bytes sums = {};
        for (size_t i = 0; i < kRegs; ++i) sums += count_bytes(__m256i(query[i]) ^ load(p + 32 * i));
        return Words(_mm256_sad_epu8(__m256i(sums), _mm256_setzero_si256()));
    }
    // Sums of neighbours: of a in the even places, of b in the odd ones; then of two words, a in the lower half.
    static Words pairs(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    }
    static Words quads(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
    }

    template <size_t kBytes>
    static void run(const uint8_t* query, const uint8_t* codes, size_t n, float* out) {
        constexpr size_t kRegs = kBytes < 32 ? 1 : kBytes / 32;
        Words q[kRegs];
        for (size_t i = 0; i < 4 * kRegs; ++i) q[i / 4][i % 4] = load_bits(query, kBytes, i % (kBytes / 8));
        const int second = kBytes == 16 ? 4 : 2;
        const __m256i order = _mm256_setr_epi32(0, second, 6 - second, 6, 0, 0, 0, 0);
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            const uint8_t* p = codes + i * kBytes;
            Words sums = count<kRegs>(q, p);
            if constexpr (kBytes == 16) sums = pairs(sums, count<1>(q, p + 32));
            if constexpr (kBytes >= 32)
                sums = quads(pairs(sums, count<kRegs>(q, p + kBytes)),
                             pairs(count<kRegs>(q, p + 2 * kBytes), count<kRegs>(q, p + 3 * kBytes)));
            const __m256i ints = _mm256_permutevar8x32_epi32(__m256i(sums), order);
            _mm_storeu_ps(out + i, _mm_cvtepi32_ps(_mm256_castsi256_si128(ints)));
        }
        HammingRows256::scan(query, codes + i * kBytes, kBytes, n - i, out + i);
    }
};

void fill_hamming(Kernels& k) {
    k.hamming = HammingRows256::score;
    k.hamming_scan = scan_codes<Scan256::scan>;
    k.hamming_tiles = {HammingPlanes<Planes256>::tile(), HammingPlanes<Planes256>::tile()};
}

}  // namespace
}  // namespace annkit::simd
