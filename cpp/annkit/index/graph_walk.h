// A walk through a graph towards a query: the nodes nearest to it, found by expanding the nearest node that has not
// been expanded yet. One a thread.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "annkit/codec/walk_scorer.h"
#include "annkit/core/marks.h"
#include "annkit/index/graph.h"

namespace annkit {

struct Near {
    float score;
    uint32_t node;
};

// The nearest nodes so far, in order; which of them have been expanded. Few enough that moving them is cheap.
class NearPool {
  public:
    // most_equal: how many nodes of one score it keeps.
    void start(size_t most, size_t most_equal);
    bool full() const { return near_.size() == most_; }
    // What is above it does not enter.
    float bound() const { return bound_; }
    void push(float score, uint32_t node) {
        if (full() ? score < bound_ : score <= bound_) insert(score, node);  // nor does NaN enter
    }
    // The nearest node that has not been expanded, which it is from now on; false if there is none.
    bool next(uint32_t& node);
    // The one after it, as things stand; GraphLayer::kNone if there is none.
    uint32_t after() const;
    size_t size() const { return near_.size(); }
    Near operator[](size_t i) const { return {near_[i].score, near_[i].node & GraphLayer::kNode}; }

  private:
    void insert(float score, uint32_t node);
    static constexpr uint32_t kExpanded = GraphLayer::kHangs;
    size_t most_ = 0, most_equal_ = 0, next_ = 0;  // all before next_ have been expanded
    float bound_ = 0;
    std::vector<Near> near_;
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
    // What a walk needs besides the query, to be used again by another.
    struct Scratch {
        Marks visited;
        NearPool pool;
        std::vector<uint32_t> nodes, rows, hidden;
        std::vector<float> scores;
    };

    GraphWalk(const Graph& graph, std::unique_ptr<WalkScorer> scorer, Scratch& scratch);

    WalkScorer& scorer() { return *scorer_; }
    // From the top down to the layer's node that seems nearest; of the top one, its first.
    uint32_t descend(size_t to_layer);
    // The nodes nearest to the query, at most so many, starting from one.
    const NearPool& near(size_t layer, uint32_t start, size_t most, size_t most_equal = SIZE_MAX);
    // Scores all of the node's neighbours that have not been met: nodes() and scores(), how many.
    size_t expand(const GraphLayer& layer, uint32_t node);
    // Of the base layer: the node's allowed neighbours, and those of its neighbours that are not allowed, each of which
    // is asked once in a walk (the way of ACORN-1, Patel et al., 2024).
    size_t expand_allowed(uint32_t node, const GraphFilter& filter);
    const uint32_t* nodes() const { return scratch_.nodes.data(); }
    const float* scores() const { return scratch_.scores.data(); }
    // Begins a walk: a node's own score. Also meets the layer's first node, from which all others can be reached.
    size_t begin(const GraphLayer& layer, uint32_t start);

  private:
    void score(const GraphLayer& layer, size_t n);
    void prefetch(uint32_t row) const;
    void prefetch_links(const GraphLayer& layer, uint32_t node) const;
    size_t collect(const GraphLayer& layer, uint32_t node);

    const Graph& graph_;
    std::unique_ptr<WalkScorer> scorer_;
    Scratch& scratch_;
    std::span<const Column* const> columns_;
    size_t lines_[2] = {};
};

}  // namespace annkit
