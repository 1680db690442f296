// Tiles of nibbles with AVX2: two queries a vector, four of them against a block in registers.
// Bottleneck: the units that shuffle (two) and add (three); see nibble_sums.h. Sapphire Rapids, 32 positions:
// 2.5, 3.3 or 3.7 G codes a second with 1, 2 or 4 look-ups a byte; one query, 1.8 to 2.3 G.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_lone.h"
#include "annkit/simd/nibble_tiles.h"

namespace annkit::simd {
namespace {
namespace nibbles {

struct V256 {
    using Bytes [[gnu::vector_size(32)]] = uint8_t;
    using Words [[gnu::vector_size(32)]] = uint16_t;
    using Floats = __m256;
    static constexpr size_t kBlocks = 1;

    static Bytes load_half(const uint8_t* x) {  // then zeros
        return Bytes(_mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
    }
    static Bytes broadcast(const uint8_t* x) {
        return Bytes(_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(x))));
    }
    static Bytes look_up(Bytes table, Bytes codes) {
        return Bytes(_mm256_shuffle_epi8(__m256i(table), __m256i(codes)));
    }
    static void pin(Bytes& x) { __asm__("" : "+x"(x)); }
    static Bytes max(Bytes a, Bytes b) { return Bytes(_mm256_max_epu8(__m256i(a), __m256i(b))); }
    static Bytes add_saturated(Bytes a, Bytes b) { return Bytes(_mm256_adds_epu8(__m256i(a), __m256i(b))); }
    static bool any_saturated(Bytes a) {
        return _mm256_movemask_epi8(_mm256_cmpeq_epi8(__m256i(a), _mm256_set1_epi8(-1))) != 0;
    }
    static Bytes most(Bytes x) {  // of each lane, in all of its bytes
        x = max(x, Bytes(_mm256_shuffle_epi32(__m256i(x), 0x4e)));
        x = max(x, Bytes(_mm256_shuffle_epi32(__m256i(x), 0xb1)));
        x = max(x, Bytes(_mm256_shufflehi_epi16(_mm256_shufflelo_epi16(__m256i(x), 0xb1), 0xb1)));
        return max(x, Bytes(_mm256_or_si256(_mm256_slli_epi16(__m256i(x), 8), _mm256_srli_epi16(__m256i(x), 8))));
    }
    static Words min16(Words a, Words b) { return Words(_mm256_min_epu16(__m256i(a), __m256i(b))); }
    // A bit for each number.
    static uint32_t at_most(Words a, Words b) {
        const __m256i within = _mm256_cmpeq_epi16(__m256i(min16(a, b)), __m256i(a));
        const auto lanes = uint32_t(_mm256_movemask_epi8(_mm256_packs_epi16(within, _mm256_setzero_si256())));
        return (lanes & 0xff) | (lanes >> 8 & 0xff00);
    }
    // Adds up the lanes of each.
    static Words fold(const Words (&x)[2]) {
        const __m256i a = __m256i(x[0]), b = __m256i(x[1]);
        return Words(_mm256_add_epi16(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31)));
    }

    static Floats set1(float x) { return _mm256_set1_ps(x); }
    static Floats load_floats(const float* x) { return _mm256_loadu_ps(x); }
    static Floats broadcast_floats(const float* x) { return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x)); }
    static Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
    static Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
    static uint32_t within(Floats a, Floats b) { return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ))); }
    // The lower (upper) number of each pair.
    static Floats to_floats(Words x, size_t upper) {
        const __m256i pairs = __m256i(x);
        return _mm256_cvtepi32_ps(upper != 0 ? _mm256_srli_epi32(pairs, 16)
                                             : _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff)));
    }
    static Floats half_to_floats(Words x, size_t upper) {
        const __m128i half = upper != 0 ? _mm256_extracti128_si256(__m256i(x), 1) : _mm256_castsi256_si128(__m256i(x));
        return _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(half));
    }
    // From rows 0, 2 to 14 of each block in its lane, the odd ones, and the same of rows 16 to 31: rows in order.
    static void to_rows(Words even0, Words odd0, Words even1, Words odd1, Words (&out)[4]) {
        const __m256i a = _mm256_unpacklo_epi16(__m256i(even0), __m256i(odd0));
        const __m256i b = _mm256_unpackhi_epi16(__m256i(even0), __m256i(odd0));
        const __m256i c = _mm256_unpacklo_epi16(__m256i(even1), __m256i(odd1));
        const __m256i d = _mm256_unpackhi_epi16(__m256i(even1), __m256i(odd1));
        out[0] = Words(_mm256_permute2x128_si256(a, b, 0x20));
        out[1] = Words(_mm256_permute2x128_si256(c, d, 0x20));
        out[2] = Words(_mm256_permute2x128_si256(a, b, 0x31));
        out[3] = Words(_mm256_permute2x128_si256(c, d, 0x31));
    }
    // A number a lane, all over the lane.
    static Floats spread(const float* x) { return _mm256_set_m128(_mm_set1_ps(x[1]), _mm_set1_ps(x[0])); }
    static Words spread(const uint16_t* x) {
        return Words(_mm256_set_m128i(_mm_set1_epi16(int16_t(x[1])), _mm_set1_epi16(int16_t(x[0]))));
    }
    static void transpose(const float* x, float* a, float* b, float* c, float* d) {
        __m128 r0 = _mm_loadu_ps(x), r1 = _mm_loadu_ps(x + 4), r2 = _mm_loadu_ps(x + 8), r3 = _mm_loadu_ps(x + 12);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_store_ps(a, r0), _mm_store_ps(b, r1), _mm_store_ps(c, r2), _mm_store_ps(d, r3);
    }
};

}  // namespace nibbles

void fill_nibbles(Kernels& k) {
    using Tiles = nibbles::Tiles<nibbles::V256>;
    k.nibble_sums = {nibbles::kPadding, 1};
    k.nibble_codes = {Tiles::tile<32>(), Tiles::tile<4>(), nibbles::Lone<nibbles::V256>::tile()};
}

}  // namespace
}  // namespace annkit::simd
