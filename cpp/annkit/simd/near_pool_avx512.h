// The pool of a walk. A node that enters moves all behind it by one lane, whole blocks at a time: a block is read where
// it was written last, so what was written comes straight from the store buffer. Bottleneck: two permutations a block.
#pragma once

#include <immintrin.h>

#include "annkit/simd/near_pool.h"

namespace annkit::simd {
namespace {

namespace pool {

inline size_t place_of(const NearNodes& near, float score) {
    const __m512 x = _mm512_set1_ps(score);
    size_t place = 0;
    for (size_t b = 0; b <= near.n / kNearBlock; ++b)
        place += uint32_t(__builtin_popcount(_mm512_cmp_ps_mask(_mm512_load_ps(near.blocks[b].scores), x, _CMP_LE_OQ)));
    return place < near.n ? place : near.n;
}

// Lanes before `place` stay, its own gets x, those behind get the one before them.
template <class T>
__m512i moved(const T* block, const T* before, __mmask16 stay, __mmask16 own, __m512i x) {
    const __m512i here = _mm512_load_si512(block);
    const __m512i behind = _mm512_alignr_epi32(here, _mm512_load_si512(before), 15);
    return _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(behind, stay, here), own, x);
}

inline void insert_512(const NearNodes& near, float score, uint32_t node, size_t place) {
    constexpr size_t kAll = 4;  // of so few blocks all are written, which can be predicted
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i xs = _mm512_castps_si512(_mm512_set1_ps(score)), xn = _mm512_set1_epi32(int32_t(node));
    const size_t last = near.n / kNearBlock, first = last < kAll ? 0 : place / kNearBlock;
    for (size_t b = last + 1; b-- > first;) {
        NearBlock& block = near.blocks[b];
        const NearBlock& before = near.blocks[b > 0 ? b - 1 : 0];
        const __m512i at = _mm512_set1_epi32(int32_t(place - b * kNearBlock));
        const __mmask16 stay = _mm512_cmplt_epi32_mask(lanes, at), own = _mm512_cmpeq_epi32_mask(lanes, at);
        const __m512i s = moved(block.scores, before.scores, stay, own, xs);
        const __m512i n = moved(block.nodes, before.nodes, stay, own, xn);
        _mm512_store_si512(block.scores, s);
        _mm512_store_si512(block.nodes, n);
    }
}

size_t push_512(NearNodes& near, const float* scores, const uint32_t* nodes, size_t n, float bound) {
    size_t least = near.most;
    for (size_t first = 0; first < n; first += 16) {
        const __mmask16 lanes = n - first < 16 ? __mmask16((1u << (n - first)) - 1) : __mmask16(0xffff);
        const float most = near.n < near.most ? bound : __builtin_fminf(bound, near.score(near.most - 1));
        const __m512 block = _mm512_maskz_loadu_ps(lanes, scores + first);
        uint32_t near_ones = _mm512_mask_cmp_ps_mask(lanes, block, _mm512_set1_ps(most), _CMP_LE_OQ);
        for (; near_ones != 0; near_ones &= near_ones - 1) {
            const size_t i = first + _tzcnt_u32(near_ones);
            if (!enters(near, scores[i], bound)) continue;
            open_block(near);
            const size_t place = place_of(near, scores[i]);
            if (too_many_equal(near, scores[i], place)) continue;
            insert_512(near, scores[i], nodes[i], place);
            least = place < least ? place : least;
            near.n += near.n < near.most;
        }
    }
    return least;
}

}  // namespace pool

}  // namespace
}  // namespace annkit::simd
