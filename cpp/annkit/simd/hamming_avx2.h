// Hamming distances, AVX2.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"
#include "annkit/simd/hamming_popcnt.h"

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

// Codes that follow each other, four at a time, then sums across registers. Bottleneck: counting, 8 operations a
// register.
class Scan256 {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        switch (bytes) {
            case 8:
                return usual<8>(query, codes, n, out);
            case 16:
                return usual<16>(query, codes, n, out);
            case 32:
                return usual<32>(query, codes, n, out);
            case 64:
                return usual<64>(query, codes, n, out);
            case 128:
                return usual<128>(query, codes, n, out);
        }
        if (bytes < 8) return narrow<8>(query, codes, bytes, n, out);
        if (bytes < 16) return narrow<16>(query, codes, bytes, n, out);
        if (bytes < 32) return narrow<32>(query, codes, bytes, n, out);
        HammingRows256::scan(query, codes, bytes, n, out);
    }

  private:
    using Words [[gnu::vector_size(32), gnu::may_alias]] = uint64_t;

    // Codes of fewer than kSlot bytes: a shuffle puts those of each half in their slots, and zeros behind.
    template <size_t kSlot>
    class Slots {
      public:
        Slots(const uint8_t* query, size_t bytes) : apart_(kSlot == 8 ? 2 * bytes : bytes) {
            alignas(32) uint8_t order[32], codes[32];
            for (size_t i = 0; i < 32; ++i) {
                const size_t byte = i % kSlot, first = kSlot == 8 ? i / 8 % 2 * bytes : 0;
                order[i] = byte < bytes ? uint8_t((first + byte) % 16) : 0x80;
                codes[i] = byte < bytes ? query[byte] : 0;
            }
            order_ = load(order);
            query_ = load(codes);
        }
        [[gnu::always_inline]] Words counts(const uint8_t* p) const {
            __m256i codes;
            if constexpr (kSlot == 32) codes = load(p);
            if constexpr (kSlot < 32) codes = _mm256_loadu2_m128i(half(p + apart_), half(p));
            NibbleCount sum;
            sum.add(_mm256_shuffle_epi8(codes, order_) ^ query_);
            return Words(sum.words());
        }

      private:
        static const __m128i* half(const uint8_t* p) { return reinterpret_cast<const __m128i*>(p); }

        size_t apart_;  // the halves
        __m256i order_, query_;
    };

    // Loads end where the codes do; the last ones are left to words.
    template <size_t kSlot>
    static void narrow(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        const Slots<kSlot> slots(query, bytes);
        const size_t last = (kSlot == 8 ? 2 : 3) * bytes + (kSlot == 32 ? 32 : 16);
        size_t i = 0;
        for (; i * bytes + last <= n * bytes; i += 4) {
            const auto counts = [&](size_t first) { return slots.counts(codes + (i + first) * bytes); };
            if constexpr (kSlot == 8) store(counts(0), out + i);
            if constexpr (kSlot == 16) store(pairs(counts(0), counts(2)), out + i, 4);
            if constexpr (kSlot == 32) store(quads(pairs(counts(0), counts(1)), pairs(counts(2), counts(3))), out + i);
        }
        HammingRows256::scan(query, codes + i * bytes, bytes, n - i, out + i);
    }

    template <size_t kBytes>
    static void usual(const uint8_t* query, const uint8_t* codes, size_t n, float* out) {
        constexpr size_t kRegs = kBytes < 32 ? 1 : kBytes / 32;
        alignas(32) uint8_t repeated[32 * kRegs];
        for (size_t i = 0; i < 32 * kRegs; i += kBytes) __builtin_memcpy(repeated + i, query, kBytes);
        __m256i q[kRegs];
        for (size_t i = 0; i < kRegs; ++i) q[i] = load(repeated + 32 * i);
        const auto counts = [&](const uint8_t* p) {
            NibbleCount sum;
            for (size_t i = 0; i < kRegs; ++i) sum.add(q[i] ^ load(p + 32 * i));
            return Words(sum.words());
        };
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            const uint8_t* p = codes + i * kBytes;
            if constexpr (kBytes == 8) store(counts(p), out + i);
            if constexpr (kBytes == 16) store(pairs(counts(p), counts(p + 32)), out + i, 4);
            if constexpr (kBytes >= 32)
                store(
                    quads(pairs(counts(p), counts(p + kBytes)), pairs(counts(p + 2 * kBytes), counts(p + 3 * kBytes))),
                    out + i);
        }
        HammingRows256::scan(query, codes + i * kBytes, kBytes, n - i, out + i);
    }

    static __m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
    // Sums of neighbours: of a in the even places, of b in the odd ones; then of two words, a in the lower half.
    static Words pairs(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    }
    static Words quads(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
    }
    // second: where, in halves of words, the second code's sum is.
    static void store(Words sums, float* out, int second = 2) {
        const __m256i order = _mm256_setr_epi32(0, second, 6 - second, 6, 0, 0, 0, 0);
        const __m256i ints = _mm256_permutevar8x32_epi32(__m256i(sums), order);
        _mm_storeu_ps(out, _mm_cvtepi32_ps(_mm256_castsi256_si128(ints)));
    }
};

void fill_hamming(Kernels& k) {
    k.hamming = HammingRows256::score;
    k.hamming_scan = scan_codes<Scan256::scan>;
    k.hamming_tiles = {HammingPlanes<Planes256>::tile(), HammingPlanes<Planes256>::tile()};
}

}  // namespace
}  // namespace annkit::simd
