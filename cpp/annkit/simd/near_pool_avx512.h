// The pool of a walk. A node that enters moves all behind it by one lane, whole blocks at a time: those of a small pool
// stay in registers meanwhile; another's are read where they were written last, so what was written comes straight from
// the store buffer. Bottleneck: two permutations a block.
#pragma once

#include <immintrin.h>

#include "annkit/simd/near_pool.h"

namespace annkit::simd {
namespace {

namespace pool {

inline size_t place_of_512(const NearNodes& near, float score) {
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

inline float farthest(const NearNodes& near, float bound) {
    return near.n < near.most ? bound : __builtin_fminf(bound, near.score(near.most - 1));
}

// Those of up to sixteen scores that are at most `most`.
inline uint32_t within(const float* scores, size_t n, float most) {
    const __mmask16 lanes = n < 16 ? __mmask16((1u << n) - 1) : __mmask16(0xffff);
    return _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, scores), _mm512_set1_ps(most), _CMP_LE_OQ);
}

// Of at most so many blocks. Sorted scores take x in as min(s[i], max(s[i - 1], x)).
template <size_t kBlocks>
size_t push_small(NearNodes& near, const float* scores, const uint32_t* nodes, size_t n, float bound) {
    const __m512 lowest = _mm512_set1_ps(-__builtin_huge_valf()), highest = _mm512_set1_ps(__builtin_huge_valf());
    __m512 s[kBlocks];
    __m512i v[kBlocks];
#pragma GCC unroll 8
    for (size_t b = 0; b < kBlocks; ++b) {
        const bool open = b * kNearBlock < near.n;
        s[b] = open ? _mm512_load_ps(near.blocks[b].scores) : highest;
        v[b] = open ? _mm512_load_si512(near.blocks[b].nodes) : _mm512_setzero_si512();
    }
    float least = __builtin_huge_valf();
    size_t taken = 0;
    const float most = farthest(near, bound);
    for (size_t first = 0; first < n; first += 16)
        for (uint32_t some = within(scores + first, n - first, most); some != 0; some &= some - 1, ++taken) {
            const size_t at = first + _tzcnt_u32(some);
            const __m512 x = _mm512_set1_ps(scores[at]);
            const __m512i node = _mm512_set1_epi32(int32_t(nodes[at]));
            least = scores[at] < least ? scores[at] : least;
#pragma GCC unroll 8
            for (size_t i = 1; i <= kBlocks; ++i) {  // the last first
                const size_t b = kBlocks - i;
                const __m512i before = _mm512_castps_si512(b > 0 ? s[b - 1] : lowest),
                              nodes_before = v[b > 0 ? b - 1 : 0];
                const __m512 behind = _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(s[b]), before, 15));
                const __m512i moved = _mm512_mask_mov_epi32(_mm512_alignr_epi32(v[b], nodes_before, 15),
                                                            _mm512_cmp_ps_mask(behind, x, _CMP_LE_OQ), node);
                v[b] = _mm512_mask_mov_epi32(moved, _mm512_cmp_ps_mask(s[b], x, _CMP_LE_OQ), v[b]);
                s[b] = _mm512_min_ps(s[b], _mm512_max_ps(behind, x));
            }
        }
    if (taken == 0) return near.most;
    near.n = near.n + taken < near.most ? near.n + taken : near.most;
    size_t place = 0;
#pragma GCC unroll 8
    for (size_t b = 0; b < kBlocks; ++b) {
        place += uint32_t(__builtin_popcount(_mm512_cmp_ps_mask(s[b], _mm512_set1_ps(least), _CMP_LT_OQ)));
        if (b * kNearBlock >= near.n) continue;
        _mm512_store_ps(near.blocks[b].scores, s[b]);
        _mm512_store_si512(near.blocks[b].nodes, v[b]);
    }
    return place;
}

size_t push_512(NearNodes& near, const float* scores, const uint32_t* nodes, size_t n, float bound) {
    if (near.most_equal >= near.most) {
        constexpr decltype(&push_512) kSmall[] = {push_small<1>, push_small<2>, push_small<3>, push_small<4>,
                                                  push_small<5>, push_small<6>, push_small<7>, push_small<8>};
        const size_t blocks = (near.most + kNearBlock - 1) / kNearBlock;
        if (blocks > 0 && blocks <= 8) return kSmall[blocks - 1](near, scores, nodes, n, bound);
    }
    size_t least = near.most;
    for (size_t first = 0; first < n; first += 16) {
        uint32_t some = within(scores + first, n - first, farthest(near, bound));
        for (; some != 0; some &= some - 1) {
            const size_t i = first + _tzcnt_u32(some);
            const size_t place = take<place_of_512, insert_512>(near, scores[i], nodes[i], bound);
            least = place < least ? place : least;
        }
    }
    return least;
}

}  // namespace pool

}  // namespace
}  // namespace annkit::simd
