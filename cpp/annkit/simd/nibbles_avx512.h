// Tiles of nibbles with AVX-512: four queries a vector, eight of them against two blocks in registers.
// Bottleneck: the two units with 512 bits, of which Intel's shuffle with one; see nibble_sums.h. Sapphire
// Rapids, 32 positions: 3.4, 4.3 or 5.0 G codes a second with 1, 2 or 4 look-ups a byte; one query, 2.2 to 2.8 G.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_lone.h"
#include "annkit/simd/nibble_tiles.h"

namespace annkit::simd {
namespace {
namespace nibbles {

struct V512 {
    using Bytes [[gnu::vector_size(64)]] = uint8_t;
    using Words [[gnu::vector_size(64)]] = uint16_t;
    using Floats = __m512;
    static constexpr size_t kBlocks = 2;

    static Bytes load_half(const uint8_t* x) {  // then zeros
        return Bytes(_mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))));
    }
    static Bytes broadcast(const uint8_t* x) {
        return Bytes(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(x))));
    }
    static Bytes look_up(Bytes table, Bytes codes) {
        return Bytes(_mm512_shuffle_epi8(__m512i(table), __m512i(codes)));
    }
    static void pin(Bytes& x) { __asm__("" : "+v"(x)); }
    static Bytes max(Bytes a, Bytes b) { return Bytes(_mm512_max_epu8(__m512i(a), __m512i(b))); }
    static Bytes add_saturated(Bytes a, Bytes b) { return Bytes(_mm512_adds_epu8(__m512i(a), __m512i(b))); }
    static bool any_saturated(Bytes a) { return _mm512_cmpeq_epi8_mask(__m512i(a), _mm512_set1_epi8(-1)) != 0; }
    static Bytes most(Bytes x) {  // of each lane, in all of its bytes
        x = max(x, Bytes(_mm512_shuffle_epi32(__m512i(x), _MM_PERM_BADC)));
        x = max(x, Bytes(_mm512_shuffle_epi32(__m512i(x), _MM_PERM_CDAB)));
        x = max(x, Bytes(_mm512_rol_epi32(__m512i(x), 16)));
        return max(x, Bytes(_mm512_rol_epi32(__m512i(x), 8)));
    }
    static Words min16(Words a, Words b) { return Words(_mm512_min_epu16(__m512i(a), __m512i(b))); }
    // A bit for each number.
    static uint32_t at_most(Words a, Words b) { return _mm512_cmple_epu16_mask(__m512i(a), __m512i(b)); }
    // Adds up the lanes of each.
    static Words fold(const Words (&x)[4]) {
        const auto both = [](__m512i a, __m512i b) {
            return _mm512_add_epi16(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
        };
        return Words(both(both(__m512i(x[0]), __m512i(x[1])), both(__m512i(x[2]), __m512i(x[3]))));
    }

    static Floats set1(float x) { return _mm512_set1_ps(x); }
    static Floats load_floats(const float* x) { return _mm512_loadu_ps(x); }
    static Floats broadcast_floats(const float* x) { return _mm512_broadcast_f32x4(_mm_loadu_ps(x)); }
    static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
    static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
    static uint32_t within(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
    // The lower (upper) number of each pair.
    static Floats to_floats(Words x, size_t upper) {
        const __m512i pairs = __m512i(x);
        return _mm512_cvtepi32_ps(upper != 0 ? _mm512_srli_epi32(pairs, 16)
                                             : _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff)));
    }
    static Floats half_to_floats(Words x, size_t upper) {
        const __m256i half = upper != 0 ? _mm512_extracti64x4_epi64(__m512i(x), 1) : _mm512_castsi512_si256(__m512i(x));
        return _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(half));
    }
    // From rows 0, 2 to 14 of each block in its lane, the odd ones, and the same of rows 16 to 31: rows in order.
    static void to_rows(Words even0, Words odd0, Words even1, Words odd1, Words (&out)[4]) {
        const __m512i a = _mm512_unpacklo_epi16(__m512i(even0), __m512i(odd0));
        const __m512i b = _mm512_unpackhi_epi16(__m512i(even0), __m512i(odd0));
        const __m512i c = _mm512_unpacklo_epi16(__m512i(even1), __m512i(odd1));
        const __m512i d = _mm512_unpackhi_epi16(__m512i(even1), __m512i(odd1));
        const __m512i ab01 = _mm512_shuffle_i32x4(a, b, 0x44), ab23 = _mm512_shuffle_i32x4(a, b, 0xee);
        const __m512i cd01 = _mm512_shuffle_i32x4(c, d, 0x44), cd23 = _mm512_shuffle_i32x4(c, d, 0xee);
        out[0] = Words(_mm512_shuffle_i32x4(ab01, cd01, 0x88));
        out[1] = Words(_mm512_shuffle_i32x4(ab01, cd01, 0xdd));
        out[2] = Words(_mm512_shuffle_i32x4(ab23, cd23, 0x88));
        out[3] = Words(_mm512_shuffle_i32x4(ab23, cd23, 0xdd));
    }
    // A number a lane, all over the lane.
    static Floats spread(const float* x) {
        const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        return _mm512_permutexvar_ps(order, _mm512_castps128_ps512(_mm_loadu_ps(x)));
    }
    static Words spread(const uint16_t* x) {
        uint64_t four;
        __builtin_memcpy(&four, x, sizeof four);
        const __m128i doubled = _mm_unpacklo_epi16(_mm_cvtsi64_si128(int64_t(four)), _mm_cvtsi64_si128(int64_t(four)));
        const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
        return Words(_mm512_permutexvar_epi32(order, _mm512_castsi128_si512(doubled)));
    }
    static void transpose(const float* x, float* a, float* b, float* c, float* d) {
        __m128 r0 = _mm_loadu_ps(x), r1 = _mm_loadu_ps(x + 4), r2 = _mm_loadu_ps(x + 8), r3 = _mm_loadu_ps(x + 12);
        _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
        _mm_store_ps(a, r0), _mm_store_ps(b, r1), _mm_store_ps(c, r2), _mm_store_ps(d, r3);
    }
};

}  // namespace nibbles

void fill_nibbles(Kernels& k) {
    using Tiles = nibbles::Tiles<nibbles::V512>;
    k.nibble_codes = {Tiles::tile<32>(), Tiles::tile<8>(), nibbles::Lone<nibbles::V512>::tile()};
}

}  // namespace
}  // namespace annkit::simd
