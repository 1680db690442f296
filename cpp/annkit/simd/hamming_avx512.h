// Hamming distances, AVX-512 (VPOPCNTDQ). Bottleneck: see below.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"
#include "annkit/simd/hamming_scan.h"

namespace annkit::simd {
namespace {

struct Planes512 {
    using Reg [[gnu::vector_size(64), gnu::may_alias]] = uint64_t;
    static Reg sum(Reg a, Reg b, Reg c) {
        return Reg(_mm512_ternarylogic_epi64(__m512i(a), __m512i(b), __m512i(c), 0x96));
    }
    static Reg majority(Reg a, Reg b, Reg c) {
        return Reg(_mm512_ternarylogic_epi64(__m512i(a), __m512i(b), __m512i(c), 0xe8));
    }
    static Reg select(Reg mask, Reg a, Reg b) {
        return Reg(_mm512_ternarylogic_epi64(__m512i(mask), __m512i(a), __m512i(b), 0xca));
    }
    static bool all_set(Reg a) { return _mm512_cmpneq_epi64_mask(__m512i(a), _mm512_set1_epi64(-1)) == 0; }
};

class WordCount {
  public:
    void add(__m256i bits) { sums_ = _mm256_add_epi64(sums_, _mm256_popcnt_epi64(bits)); }
    __m256i words() const { return sums_; }

  private:
    __m256i sums_ = _mm256_setzero_si256();
};

// Codes of any width, eight at a time: 64 bytes of each, then sums across registers. Scattered ones are bound by the
// memory they come from; so few operations a code (6, where words one by one take 14 of 32 bytes) let a core ask for
// more of them at once.
class AnyWidth {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        each(query, bytes, n, out, [=](size_t i) [[gnu::always_inline]] { return codes + i * bytes; });
    }
    static void score(const void* query, const void* const* rows, size_t bytes, size_t n, float* out) {
        if (bytes < kLeast) return HammingRows256::score(query, rows, bytes, n, out);
        each(static_cast<const uint8_t*>(query), bytes, n, out,
             [=](size_t i) [[gnu::always_inline]] { return static_cast<const uint8_t*>(rows[i]); });
    }

  private:
    using Words = Planes512::Reg;
    static constexpr size_t kLeast = 32;  // shorter codes are few operations anyway

    template <class RowAt>
    [[gnu::always_inline]] static inline void each(const uint8_t* query, size_t bytes, size_t n, float* out,
                                                   const RowAt& row) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(out + i,
                             eight(query, bytes, 8, [&](size_t j) [[gnu::always_inline]] { return row(i + j); }));
        if (i == n) return;
        const size_t left = n - i;
        const auto last = [&](size_t j) [[gnu::always_inline]] { return row(i + (j < left ? j : 0)); };
        _mm256_mask_storeu_ps(out + i, __mmask8((1u << left) - 1), eight(query, bytes, left, last));
    }

    // Sums of neighbours: of a in the even places, of b in the odd ones.
    static Words pairs(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
               __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    }
    // The same, two words wide: of a in the lower half, of b in the upper one.
    static Words quads(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13) +
               __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15);
    }
    template <class RowAt>
    [[gnu::always_inline]] static inline __m256 eight(const uint8_t* query, size_t bytes, size_t n, const RowAt& row) {
        Words sums[8] = {};
        for (size_t at = 0; at < bytes; at += 64) {
            const __mmask64 mask = bytes - at >= 64 ? ~uint64_t(0) : (uint64_t(1) << (bytes - at)) - 1;
            const Words q = Words(_mm512_maskz_loadu_epi8(mask, query + at));
            for (size_t i = 0; i < 8; ++i) {
                const Words bits = q ^ Words(_mm512_maskz_loadu_epi8(i < n ? mask : 0, row(i) + at));
                sums[i] += Words(_mm512_popcnt_epi64(__m512i(bits)));
            }
        }
        const Words a = quads(pairs(sums[0], sums[1]), pairs(sums[2], sums[3]));
        const Words b = quads(pairs(sums[4], sums[5]), pairs(sums[6], sums[7]));
        return _mm512_maskz_cvtepi64_ps(0xff, __m512i(quads(a, b)));
    }
};

void fill_hamming(Kernels& k) {
    k.hamming = AnyWidth::score;
    k.hamming_scan = scan_codes<Scan256<WordCount, AnyWidth::scan>::scan>;
    k.hamming_tiles = {HammingPlanes<Planes512>::tile(), HammingPlanes<Planes512>::tile()};
}

}  // namespace
}  // namespace annkit::simd
