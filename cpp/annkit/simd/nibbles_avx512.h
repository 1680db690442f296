// Tiles of nibbles with AVX-512. A lone query goes by lanes of 16 bytes, see nibble_lone.h; several by nibbles_vbmi.h.
// Bottleneck: the two units with 512 bits, of which Intel's shuffle with one. Sapphire Rapids, 32 positions: one query
// 2.2 to 2.8 G codes a second.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_entries_avx512.h"
#include "annkit/simd/nibble_lone.h"
#include "annkit/simd/nibbles_vbmi.h"

namespace annkit::simd {
namespace {
namespace nibbles {

struct V512 {
    using Bytes [[gnu::vector_size(64)]] = uint8_t;
    using Words [[gnu::vector_size(64)]] = uint16_t;
    using Floats = __m512;

    static Bytes load_half(const uint8_t* x) {  // then zeros
        return Bytes(_mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))));
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
    static Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
    static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
    static uint32_t within(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
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
};

}  // namespace nibbles

void fill_nibbles(Kernels& k) {
    k.nibble_sums = {nibbles_vbmi::kStep, nibbles_vbmi::kTogether};
    k.nibble_codes = {nibbles_vbmi::tile<32>(), nibbles_vbmi::tile<8>(), nibbles::Lone<nibbles::V512>::tile()};
    k.sum_nibbles = nibble_entries::sum;
}

}  // namespace
}  // namespace annkit::simd
