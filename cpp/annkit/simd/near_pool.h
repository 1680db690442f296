// The pool of a walk, plain C++, compiled once a level. Bottleneck: comparing and moving every score of the pool for
// each node that enters.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

namespace pool {

inline bool enters(const NearNodes& near, float score, float bound) {
    return score <= bound && (near.n < near.most || score < near.score(near.most - 1));
}

inline void open_block(const NearNodes& near) {
    if (near.n % kNearBlock == 0)
        for (float& score : near.blocks[near.n / kNearBlock].scores) score = __builtin_huge_valf();
}

inline bool too_many_equal(const NearNodes& near, float score, size_t place) {
    return place >= near.most_equal && near.score(place - near.most_equal) == score;
}

void insert(const NearNodes& near, float score, uint32_t node, size_t place) {
    NearBlock* blocks = near.blocks;
    const size_t first = place / kNearBlock;
    for (size_t b = near.n / kNearBlock; b > first; --b) {
        for (size_t i = kNearBlock - 1; i > 0; --i) blocks[b].scores[i] = blocks[b].scores[i - 1];
        for (size_t i = kNearBlock - 1; i > 0; --i) blocks[b].nodes[i] = blocks[b].nodes[i - 1];
        blocks[b].scores[0] = blocks[b - 1].scores[kNearBlock - 1];
        blocks[b].nodes[0] = blocks[b - 1].nodes[kNearBlock - 1];
    }
    NearBlock& block = blocks[first];
    for (size_t i = kNearBlock - 1; i > place % kNearBlock; --i) {
        block.scores[i] = block.scores[i - 1];
        block.nodes[i] = block.nodes[i - 1];
    }
    block.scores[place % kNearBlock] = score;
    block.nodes[place % kNearBlock] = node;
}

inline size_t place_of(const NearNodes& near, float score) {
    size_t place = 0;
    for (size_t b = 0; b <= near.n / kNearBlock; ++b)
        for (float other : near.blocks[b].scores) place += other <= score;
    return place < near.n ? place : near.n;
}

// By a level's own functions. Returns the place, or near.most for none.
template <auto kPlaceOf, auto kInsert>
size_t take(NearNodes& near, float score, uint32_t node, float bound) {
    if (!enters(near, score, bound)) return near.most;
    open_block(near);
    const size_t place = kPlaceOf(near, score);
    if (too_many_equal(near, score, place)) return near.most;
    kInsert(near, score, node, place);
    near.n += near.n < near.most;
    return place;
}

[[maybe_unused]] size_t push(NearNodes& near, const float* scores, const uint32_t* nodes, size_t n, float bound) {
    size_t least = near.most;
    for (size_t i = 0; i < n; ++i) {
        const size_t place = take<place_of, insert>(near, scores[i], nodes[i], bound);
        least = place < least ? place : least;
    }
    return least;
}

}  // namespace pool

}  // namespace
}  // namespace annkit::simd
