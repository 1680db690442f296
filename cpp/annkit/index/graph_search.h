// Searches of a graph, each of one query at a time. A thread may have several that take turns, and making one takes as
// long as some steps of a walk: they are used again.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "annkit/core/pool.h"
#include "annkit/core/top_k.h"
#include "annkit/index/graph_walk.h"

namespace annkit {

struct WalkLimits {
    size_t ef;  // nodes that a walk is likely to keep: what it costs
    PoolLimits pool;
    // With fewer, there may be more to be found.
    size_t enough() const { return std::min(pool.most, pool.k); }
    void widen() { ef *= 2, pool.most *= 2; }
};

class GraphSearch {
  public:
    GraphSearch(const Graph& graph, const Codec& codec, Metric metric, const Codes& codes, size_t dim, bool estimates);

    void query(const Rows& one);
    // The best of what a walk finds, by canonical scores. Without a k, what lies within the bound.
    void find(const WalkLimits& limits, const GraphFilter& filter, TopK& top);
    // Among all rows, in steps: other searches may go on between them. There has to be a k.
    void start(const WalkLimits& limits) { walk_.start_near(0, walk_.descend(0), limits.pool); }
    // alone: no other search goes on. False: that was the last.
    bool step(bool alone) { return walk_.step(alone && walk_.guesses_pay()); }
    void finish(TopK& top);

  private:
    void scan(const GraphFilter& filter, TopK& top);
    void take(const NearPool& pool);
    void walk(const WalkLimits& limits);
    // Through nodes that are not allowed as through others, or around them: only allowed ones get scores.
    enum class Way { through, around };
    // False where it gave up, as it scored more rows than there are allowed ones.
    bool walk_allowed(const WalkLimits& limits, const GraphFilter& filter, Way way);
    void find_allowed(WalkLimits limits, const GraphFilter& filter, TopK& top);
    void find_anywhere(WalkLimits limits, const GraphFilter& everything, TopK& top);
    bool seen_beyond(const WalkLimits& limits, const TopK& top) const;
    void push_found(TopK& top);
    void push_rows(TopK& top);

    const Graph& graph_;
    GraphWalk::Scratch scratch_;
    GraphWalk walk_;
    std::unique_ptr<Scorer> scorer_;  // null where the walk's scores will do
    std::vector<Near> found_, frontier_;
    NearPool nearest_;
    std::vector<uint32_t> rows_;
    std::vector<float> scores_;
};

using GraphSearches = Pool<GraphSearch>;

}  // namespace annkit
