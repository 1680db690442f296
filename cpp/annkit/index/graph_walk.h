// A walk through a graph towards a query: the nodes nearest to it, found by expanding the nearest node that has not
// been expanded yet.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "annkit/codec/walk_scorer.h"
#include "annkit/core/marks.h"
#include "annkit/index/graph.h"
#include "annkit/simd/kernels.h"

namespace annkit {

struct Near {
    float score;
    uint32_t node;
};

// What a pool keeps: at most so many nodes, of one score at most so many; and none that is farther than factor times
// the k-th best, where zero is the score of distance zero. That ends a walk by distance (Al-Jazzazi et al., "Distance
// adaptive beam search for provably accurate graph-based nearest neighbor search", 2025).
struct PoolLimits {
    size_t most, most_equal = SIZE_MAX;
    size_t k = SIZE_MAX;
    float zero = 0, factor = 1;
    float beyond(float kth) const { return std::max(kth, zero + factor * (kth - zero)); }
};

// The nearest nodes so far, in order; which of them have been expanded. Few enough that moving them is cheap.
class NearPool {
  public:
    void start(const PoolLimits& limits);
    // What is above it does not enter.
    float bound() const { return bound_; }
    void push(const float* scores, const uint32_t* nodes, size_t n);  // NaN and infinity do not enter
    // The nearest node that has not been expanded, which it is from now on; false if there is none within the bound.
    bool next(uint32_t& node);
    // The one after it, as things stand; GraphLayer::kNone if there is none.
    uint32_t after() const { return next_ < near_.n ? near_.node(next_) : GraphLayer::kNone; }
    // Of the n after it, those that have come among them since this was called last.
    template <class Act>
    void closer(size_t n, Act&& act) {
        size_t i = next_;
        for (; i < near_.n && n > 0; ++i) {
            if (near_.node(i) & kExpanded) continue;
            if (i >= closer_) act(near_.node(i));
            --n;
        }
        closer_ = i;
    }
    size_t size() const { return near_.n; }
    size_t within() const;  // the bound: how many are
    Near operator[](size_t i) const { return {near_.score(i), near_.node(i) & GraphLayer::kNode}; }

  private:
    static constexpr uint32_t kExpanded = GraphLayer::kHangs;
    void skip_expanded() {
        while (next_ < near_.n && (near_.node(next_) & kExpanded)) ++next_;
    }

    PoolLimits limits_{0};
    size_t next_ = 0;    // the first that has not been expanded
    size_t closer_ = 0;  // behind those that `closer` has looked at
    float bound_ = 0;
    std::vector<simd::NearBlock> blocks_;
    simd::NearNodes near_{};
};

// Rows that a search may find: of the first `rows`, all or those of a set.
struct GraphFilter {
    size_t rows;
    const Bitset* set;  // null: all
    size_t count;       // how many they are
    bool test(uint32_t row) const { return row < rows && (set == nullptr || set->test(row)); }
};

class GraphWalk {
  public:
    // A node's neighbours that have been met and have no scores yet: what these are computed from is on its way.
    struct Met {
        uint32_t of = GraphLayer::kNone;
        size_t n = 0;
        std::vector<uint32_t> nodes, rows;  // rows: of a layer where they are others
        std::vector<const void*> codes;     // of the rows
        void reserve(size_t most);
        void forget() { of = GraphLayer::kNone, n = 0; }
    };
    // What a walk needs besides the query, to be used again by another.
    struct Scratch {
        Marks visited;
        NearPool pool;
        Met met, ahead, guess;
        std::vector<uint32_t> hidden;
        std::vector<float> scores;
    };

    GraphWalk(const Graph& graph, std::unique_ptr<WalkScorer> scorer, Scratch& scratch);

    WalkScorer& scorer() { return *scorer_; }
    // From the top down to the layer's node that seems nearest; of the top one, its first.
    uint32_t descend(size_t to_layer);
    // The nodes nearest to the query, starting from one.
    const NearPool& near(size_t layer, uint32_t start, const PoolLimits& limits);
    // The same in steps, each of which ends where memory has been asked for something: other walks may go on meanwhile.
    void start_near(size_t layer, uint32_t start, const PoolLimits& limits);
    // guess_next: also look at what seems to come after the next node, which changes nothing in what is found.
    bool step(bool guess_next);                        // false: that was the last
    bool guesses_pay() const { return guesses_pay_; }  // in steps of one walk alone
    const NearPool& pool() const { return scratch_.pool; }
    // Scores all of the node's neighbours that have not been met: nodes() and scores(), how many.
    size_t expand(const GraphLayer& layer, uint32_t node);
    // Of the base layer: the node's allowed neighbours, and those of its neighbours that are not allowed, each of which
    // is asked once in a walk (the way of ACORN-1, Patel et al., 2024).
    size_t expand_allowed(uint32_t node, const GraphFilter& filter);
    const uint32_t* nodes() const { return scratch_.met.nodes.data(); }
    const float* scores() const { return scratch_.scores.data(); }
    // Begins a walk: a node's own score. Also meets the layer's first node, from which all others can be reached.
    size_t begin(const GraphLayer& layer, uint32_t start);

  private:
    void mark_first(const GraphLayer& layer, uint32_t start);
    void meet_first(const GraphLayer& layer, uint32_t start);
    void meet_neighbours(const GraphLayer& layer, uint32_t node, Met& met);
    void fetch(const GraphLayer& layer, Met& met) const;
    void fetch_codes(const uint32_t* rows, Met& met) const;
    void prefetch_links(const GraphLayer& layer, uint32_t node) const;
    void score_met(const GraphLayer& layer);
    bool look_ahead(bool guess_next);
    void guess(uint32_t node);
    void take_guess_back();
    void take_met();

    const Graph& graph_;
    std::unique_ptr<WalkScorer> scorer_;
    Scratch& scratch_;
    std::span<const WalkColumn> columns_;
    size_t lines_[2] = {};               // that rows of a column take
    bool across_[2] = {};                // some one more
    const GraphLayer* layer_ = nullptr;  // of the steps
    bool guesses_pay_ = false;
    bool calm_ = false;  // the scores that came last changed nothing in what comes next
};

}  // namespace annkit
