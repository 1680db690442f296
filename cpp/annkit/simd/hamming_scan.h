// Hamming distances at every level with AVX2: word by word, and of codes that follow each other, of the usual widths,
// with 256-bit loads.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_rows.h"

namespace annkit::simd {
namespace {

inline uint64_t count_bits(uint64_t x) { return uint64_t(_mm_popcnt_u64(x)); }

using HammingRows256 = HammingRows<WordBits<count_bits>>;

// Four codes at a time, a register a code (or 32 bytes of it), then sums across registers. Count: how bits are counted.
// Rest: scans any width, and what is left over.
template <class Count, void (*kRest)(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out)>
class Scan256 {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        switch (bytes) {
            case 8:
                return run<8>(query, codes, n, out);
            case 16:
                return run<16>(query, codes, n, out);
            case 32:
                return run<32>(query, codes, n, out);
            case 64:
                return run<64>(query, codes, n, out);
            case 128:
                return run<128>(query, codes, n, out);
            default:
                return kRest(query, codes, bytes, n, out);
        }
    }

  private:
    using Words [[gnu::vector_size(32), gnu::may_alias]] = uint64_t;

    template <size_t kRegs>
    static Words count(const Words* query, const uint8_t* p) {
        Count sum;
        for (size_t i = 0; i < kRegs; ++i)
            sum.add(__m256i(query[i]) ^ _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i)));
        return Words(sum.words());
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
        kRest(query, codes + i * kBytes, kBytes, n - i, out + i);
    }
};

}  // namespace
}  // namespace annkit::simd
