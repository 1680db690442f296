// Which candidates become a node's links: from the nearest on, each that is nearer to the node than to any link chosen
// before it; then, where places are left, those that are so up to a factor (Malkov, Yashunin 2018, algorithm 4; Jayaram
// Subramanya et al., DiskANN, 2019, sections 2.3 and 2.4).
#pragma once

#include <memory>
#include <vector>

#include "annkit/codec/walk_scorer.h"
#include "annkit/index/graph_walk.h"

namespace annkit {

// Links that a node gets at once: the rest of its places is for links back to it before it has to be pruned again.
inline size_t chosen_links(size_t degree) { return degree * 5 / 6; }

// What the distances of a graph are taken on.
struct GraphSource {
    const Codec& codec;
    const Codes& codes;
    size_t dim;
    Metric metric;
    bool unit;  // rows have length one

    std::unique_ptr<WalkScorer> scorer() const { return codec.walk_scorer(metric, codes, dim); }
};

class GraphPruner {
  public:
    explicit GraphPruner(const GraphSource& source);

    // candidates: nearest first, with the node's scores; those with GraphLayer::kHangs are kept in any case, and are
    // fewer than most. Leaves what it chose, in order.
    void choose(const GraphLayer& layer, size_t most, std::vector<Near>& candidates);
    // The scores of a node's candidates, which are put in order.
    void rank(const GraphLayer& layer, uint32_t node, std::vector<Near>& candidates);

  private:
    void score(const GraphLayer& layer, uint32_t node, std::span<const Near> others);
    void strike(const GraphLayer& layer, uint32_t node);

    std::unique_ptr<WalkScorer> scorer_;
    float shift_, slack_;
    std::vector<Near> chosen_, left_;
    std::vector<uint8_t> second_;  // which of left_ come after the others
    std::vector<uint32_t> rows_;
    std::vector<float> scores_;
};

}  // namespace annkit
