#include "annkit/index/graph_walk.h"

#include <algorithm>
#include <limits>

namespace annkit {
namespace {

// Puts the nodes that have not been met one behind the other at `to`, and returns how many they are.
size_t keep_new(Marks& visited, const uint32_t* links, size_t n, uint32_t* to) {
    uint8_t* marks = visited.data();
    const uint8_t round = visited.round();
    size_t kept = 0;
    for (size_t i = 0; i < n && links[i] != GraphLayer::kNone; ++i) {
        const uint32_t node = links[i] & GraphLayer::kNode;
        to[kept] = node;
        kept += marks[node] != round;
        marks[node] = round;
    }
    return kept;
}

}  // namespace

void NearPool::start(const PoolLimits& limits) {
    limits_ = limits;
    next_ = 0;
    bound_ = std::numeric_limits<float>::infinity();
    near_.clear();
}

void NearPool::insert(float score, uint32_t node) {
    size_t before = 0;  // of the nodes so far; found without branches, which nobody could predict
    for (size_t n = near_.size(); n > 0;) {
        const size_t half = (n + 1) / 2;
        before += half * size_t(near_[before + half - 1].score <= score);
        n -= half;
    }
    if (before >= limits_.most_equal && near_[before - limits_.most_equal].score == score) return;
    if (full()) near_.pop_back();
    next_ = std::min(next_, before);
    near_.insert(near_.begin() + ptrdiff_t(before), {score, node});
    if (full()) bound_ = near_.back().score;
    if (near_.size() >= limits_.k) bound_ = std::min(bound_, limits_.beyond(near_[limits_.k - 1].score));
}

bool NearPool::next(uint32_t& node) {
    while (next_ < near_.size() && (near_[next_].node & kExpanded)) ++next_;
    if (next_ == near_.size() || near_[next_].score > bound_) return false;
    node = near_[next_].node;
    near_[next_++].node |= kExpanded;
    return true;
}

size_t NearPool::within() const {
    const auto farther = [](float bound, const Near& near) { return bound < near.score; };
    return size_t(std::upper_bound(near_.begin(), near_.end(), bound_, farther) - near_.begin());
}

uint32_t NearPool::after() const {
    size_t i = next_;
    while (i < near_.size() && (near_[i].node & kExpanded)) ++i;
    return i < near_.size() ? near_[i].node : GraphLayer::kNone;
}

GraphWalk::GraphWalk(const Graph& graph, std::unique_ptr<WalkScorer> scorer, Scratch& scratch)
    : graph_(graph), scorer_(std::move(scorer)), scratch_(scratch), columns_(scorer_->columns()) {
    const size_t most = std::max<size_t>(graph.degree(), 2);
    if (scratch_.nodes.size() < most) {
        scratch_.nodes.resize(most);
        scratch_.rows.resize(most);
        scratch_.scores.resize(most);
    }
    constexpr size_t kLine = 64;
    for (size_t c = 0; c < std::min<size_t>(columns_.size(), 2); ++c)
        lines_[c] = (columns_[c]->row_bytes() + kLine - 1) / kLine;
}

void GraphWalk::prefetch(uint32_t row) const {
    constexpr size_t kLine = 64;
    for (size_t c = 0; c < 2; ++c) {
        if (lines_[c] == 0) return;
        const std::byte* at = columns_[c]->row(row);
        for (size_t i = 0; i < lines_[c]; ++i) __builtin_prefetch(at + i * kLine);
    }
}

void GraphWalk::prefetch_links(const GraphLayer& layer, uint32_t node) const {
    if (node == GraphLayer::kNone) return;
    const auto* at = reinterpret_cast<const std::byte*>(layer.links(node));
    for (size_t i = 0; i < layer.degree() * sizeof(uint32_t); i += 64) __builtin_prefetch(at + i);
}

void GraphWalk::score(const GraphLayer& layer, size_t n) {
    const uint32_t* rows = scratch_.nodes.data();
    if (!layer.is_base()) {
        for (size_t i = 0; i < n; ++i) scratch_.rows[i] = layer.row(scratch_.nodes[i]);
        rows = scratch_.rows.data();
    }
    for (size_t i = 0; i < n; ++i) prefetch(rows[i]);
    scorer_->score(rows, n, scratch_.scores.data());
}

size_t GraphWalk::begin(const GraphLayer& layer, uint32_t start) {
    scratch_.visited.start(layer.size());
    const uint32_t starts[] = {start, 0};
    const size_t n = keep_new(scratch_.visited, starts, 2, scratch_.nodes.data());
    score(layer, n);
    return n;
}

size_t GraphWalk::collect(const GraphLayer& layer, uint32_t node) {
    return keep_new(scratch_.visited, layer.links(node), layer.degree(), scratch_.nodes.data());
}

size_t GraphWalk::expand(const GraphLayer& layer, uint32_t node) {
    const size_t n = collect(layer, node);
    score(layer, n);
    return n;
}

size_t GraphWalk::expand_allowed(uint32_t node, const GraphFilter& filter) {
    const GraphLayer& layer = graph_.layer(0);
    Marks& visited = scratch_.visited;
    std::vector<uint32_t>&nodes = scratch_.nodes, &hidden = scratch_.hidden;
    const size_t degree = layer.degree();
    if (nodes.size() < degree * (degree + 1)) {
        nodes.resize(degree * (degree + 1));
        scratch_.scores.resize(nodes.size());
    }
    hidden.resize(degree);
    size_t n = 0, n_hidden = 0;
    const uint32_t* links = layer.links(node);
    for (size_t i = 0; i < degree && links[i] != GraphLayer::kNone; ++i) {
        const uint32_t next = links[i] & GraphLayer::kNode;
        if (!visited.mark(next)) continue;
        if (filter.test(next)) {
            nodes[n++] = next;
        } else {
            hidden[n_hidden++] = next;
            prefetch_links(layer, next);
        }
    }
    for (size_t h = 0; h < n_hidden; ++h) {
        links = layer.links(hidden[h]);
        for (size_t i = 0; i < degree && links[i] != GraphLayer::kNone; ++i) {
            const uint32_t next = links[i] & GraphLayer::kNode;
            if (!visited.met(next) && filter.test(next)) visited.mark(next), nodes[n++] = next;
        }
    }
    score(layer, n);
    return n;
}

uint32_t GraphWalk::descend(size_t to_layer) {
    uint32_t node = 0;
    for (size_t l = graph_.top(); l > to_layer; --l) {
        const GraphLayer& layer = graph_.layer(l);
        begin(layer, node);
        float best = scratch_.scores[0];
        for (bool moved = true; moved;) {
            moved = false;
            const size_t n = expand(layer, node);
            for (size_t i = 0; i < n; ++i)
                if (scratch_.scores[i] < best) best = scratch_.scores[i], node = scratch_.nodes[i], moved = true;
        }
        node = layer.below(node);
    }
    return node;
}

const NearPool& GraphWalk::near(size_t l, uint32_t start, const PoolLimits& limits) {
    const GraphLayer& layer = graph_.layer(l);
    NearPool& pool = scratch_.pool;
    pool.start(limits);
    const size_t first = begin(layer, start);
    for (size_t i = 0; i < first; ++i) pool.push(scratch_.scores[i], scratch_.nodes[i]);
    uint32_t node;
    while (pool.next(node)) {
        const size_t n = collect(layer, node);
        // The links of what is likely to come next travel while this node's neighbours are scored (SIFT, 100,000 rows
        // in SQ8: a fifth more queries a second at a recall of 0.99).
        prefetch_links(layer, pool.after());
        score(layer, n);
        for (size_t i = 0; i < n; ++i) pool.push(scratch_.scores[i], scratch_.nodes[i]);
        prefetch_links(layer, pool.after());
    }
    return pool;
}

}  // namespace annkit
