// Hamming distances, AVX-512 (VPOPCNTDQ). Bottleneck: see below.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_planes.h"
#include "annkit/simd/hamming_popcnt.h"
#include "annkit/simd/prefetch.h"

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

// What is read of rows that follow each other, kFetchAhead bytes on: rows of 96 bytes, eight beside each other, come
// from memory at 13 GB/s without it, and at 48 with it (Zen 5).
inline void fetch_ahead(const uint8_t* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) prefetch(from + kFetchAhead + at);
}

// Codes of any width, eight at a time: 64 bytes of each, then sums across registers. Scattered ones are bound by the
// memory they come from; so few operations a code (6, where words one by one take 14 of 32 bytes) let a core ask for
// more of them at once.
class AnyWidth {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        const size_t whole = n / 8 * 8;
        for (size_t i = 0; i < n; i += 8) {
            const auto row = [p = codes + i * bytes, bytes](size_t j) { return p + j * bytes; };
            if (i == whole) return each(query, bytes, n - i, out + i, row);
            fetch_ahead(row(0), 8 * bytes);
            each(query, bytes, 8, out + i, row);
        }
    }
    static void score(const void* query, const void* const* rows, size_t bytes, size_t n, float* out) {
        if (bytes < kLeast) return HammingRows256::score(query, rows, bytes, n, out);
        each(static_cast<const uint8_t*>(query), bytes, n, out,
             [=](size_t i) { return static_cast<const uint8_t*>(rows[i]); });
    }

  private:
    using Words = Planes512::Reg;
    static constexpr size_t kLeast = 32;  // shorter codes are few operations anyway

    template <class RowAt>
    [[gnu::always_inline]] static inline void each(const uint8_t* query, size_t bytes, size_t n, float* out,
                                                   const RowAt& row) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(out + i, eight(query, bytes, 8, [&](size_t j) { return row(i + j); }));
        if (i == n) return;
        const size_t left = n - i;
        const auto last = [&](size_t j) { return row(i + (j < left ? j : 0)); };
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

// Codes of at most kSlot bytes that follow each other, eight at a time: a shuffle of bytes puts 8, 4 or 2 of them side
// by side, and zeros between them. Bottleneck: the shuffles, one a register and two for each halving. Loads end where
// the codes do; the last ones are left to AnyWidth.
template <size_t kSlot>
class NarrowCodes {
  public:
    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        const Slots slots(query, bytes);
        size_t i = 0;
        for (; (i + 8 - kCodes) * bytes + 64 <= n * bytes; i += 8) {
            const uint8_t* p = codes + i * bytes;
            fetch_ahead(p, 8 * bytes);
            const auto counts = [&](size_t first) { return slots.counts(p + first * bytes); };
            Words sums;
            if constexpr (kSlot == 8) sums = counts(0);
            if constexpr (kSlot == 16) sums = halved(counts(0), counts(4));
            if constexpr (kSlot == 32) sums = halved(halved(counts(0), counts(2)), halved(counts(4), counts(6)));
            _mm256_storeu_ps(out + i, _mm512_maskz_cvtepi64_ps(0xff, __m512i(sums)));
        }
        AnyWidth::scan(query, codes + i * bytes, bytes, n - i, out + i);
    }

  private:
    using Words = Planes512::Reg;
    static constexpr size_t kCodes = 64 / kSlot;

    class Slots {
      public:
        Slots(const uint8_t* query, size_t bytes) {
            alignas(64) uint8_t rising[64];
            for (size_t i = 0; i < 64; ++i) rising[i] = uint8_t(i);
            const uint64_t one = (uint64_t(1) << bytes) - 1;
            for (size_t c = 0; c < kCodes; ++c) used_ |= one << (c * kSlot);
            order_ = _mm512_maskz_expand_epi8(used_, _mm512_load_si512(rising));
            const __m512i code = _mm512_maskz_loadu_epi8(one, query);
            const auto half = _mm512_castsi512_si256(code);
            if constexpr (kSlot == 8) query_ = _mm512_broadcastq_epi64(_mm256_castsi256_si128(half));
            if constexpr (kSlot == 16) query_ = _mm512_broadcast_i64x2(_mm256_castsi256_si128(half));
            if constexpr (kSlot == 32) query_ = _mm512_broadcast_i64x4(half);
        }
        [[gnu::always_inline]] Words counts(const uint8_t* p) const {
            const __m512i codes = _mm512_maskz_permutexvar_epi8(used_, order_, _mm512_loadu_si512(p));
            return Words(_mm512_popcnt_epi64(_mm512_xor_si512(codes, query_)));
        }

      private:
        __m512i order_, query_;
        __mmask64 used_ = 0;
    };

    // Sums of neighbours, those of b behind those of a.
    static Words halved(Words a, Words b) {
        return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) +
               __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
    }
};

void scan_any(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
    if (bytes <= 8) return NarrowCodes<8>::scan(query, codes, bytes, n, out);
    if (bytes <= 16) return NarrowCodes<16>::scan(query, codes, bytes, n, out);
    if (bytes <= 32) return NarrowCodes<32>::scan(query, codes, bytes, n, out);
    AnyWidth::scan(query, codes, bytes, n, out);
}

void fill_hamming(Kernels& k) {
    k.hamming = AnyWidth::score;
    k.hamming_scan = scan_codes<scan_any>;
    k.hamming_tiles = {HammingPlanes<Planes512>::tile(), HammingPlanes<Planes512>::tile()};
}

}  // namespace
}  // namespace annkit::simd
