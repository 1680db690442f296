#include "annkit/index/graph_search.h"

#include <algorithm>

namespace annkit {
namespace {

// Of so few allowed rows for each that a walk keeps, all get their scores.
constexpr size_t kScanned = 8;

}  // namespace

std::unique_ptr<GraphWalk::Scratch> GraphScratches::take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<GraphWalk::Scratch>();
    auto scratch = std::move(idle_.back());
    idle_.pop_back();
    return scratch;
}

void GraphScratches::give_back(std::unique_ptr<GraphWalk::Scratch> scratch) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(scratch));
}

GraphSearch::GraphSearch(const Graph& graph, const Codec& codec, Metric metric, const Codes& codes, size_t dim,
                         GraphWalk::Scratch& scratch, bool estimates)
    : graph_(graph), walk_(graph, codec.walk_scorer(metric, codes, dim), scratch) {
    if (!estimates && !walk_.scorer().canonical()) scorer_ = codec.scorer(metric, codes, dim);
}

void GraphSearch::query(const Rows& one) {
    walk_.scorer().query(one);
    if (scorer_) scorer_->query(one);
}

void GraphSearch::walk(size_t ef) {
    const NearPool& pool = walk_.near(0, walk_.descend(0), ef);
    found_.clear();
    for (size_t i = 0; i < pool.size(); ++i) found_.push_back(pool[i]);
}

// Passes through nodes that are not allowed, until the next one is farther than ef allowed ones.
void GraphSearch::walk_allowed(size_t ef, const GraphFilter& filter) {
    const auto farther = [](const Near& a, const Near& b) { return a.score > b.score; };
    const GraphLayer& layer = graph_.layer(0);
    frontier_.clear();
    nearest_.start(ef, SIZE_MAX);
    const auto take = [&](size_t n) {
        for (size_t i = 0; i < n; ++i) {
            const Near near{walk_.scores()[i], walk_.nodes()[i]};
            if (!(near.score <= nearest_.bound())) continue;
            frontier_.push_back(near);
            std::push_heap(frontier_.begin(), frontier_.end(), farther);
            if (filter.test(near.node)) nearest_.push(near.score, near.node);
        }
    };
    const uint32_t start = walk_.descend(0);
    take(walk_.begin(layer, start));
    while (!frontier_.empty() && frontier_.front().score <= nearest_.bound()) {
        std::pop_heap(frontier_.begin(), frontier_.end(), farther);
        const uint32_t node = frontier_.back().node;
        frontier_.pop_back();
        take(walk_.expand(layer, node));
    }
    found_.clear();
    for (size_t i = 0; i < nearest_.size(); ++i) found_.push_back(nearest_[i]);
}

void GraphSearch::push_found(TopK& top) {
    if (scorer_) {
        rows_.clear();
        for (const Near& near : found_) rows_.push_back(near.node);
        scores_.resize(rows_.size());
        scorer_->gather(rows_.data(), rows_.size(), scores_.data());
        for (size_t i = 0; i < found_.size(); ++i) found_[i].score = scores_[i];
    }
    for (const Near& near : found_)
        if (near.score <= top.kth()) top.push(near.score, near.node);
}

void GraphSearch::find(size_t ef, const GraphFilter& filter, TopK& top) {
    const bool all = filter.set == nullptr && graph_.size() <= filter.rows, within = top.limit() == SIZE_MAX;
    if (!all && filter.count <= kScanned * ef) return scan(filter, top);
    do {
        all ? walk(ef) : walk_allowed(ef, filter);
        ef *= 2;  // what lies within a bound is found when the walk has seen beyond
    } while (within && found_.size() == ef / 2 && found_.back().score <= top.kth());
    push_found(top);
}

// Every allowed row.
void GraphSearch::scan(const GraphFilter& filter, TopK& top) {
    constexpr size_t kBlock = 256;
    uint32_t rows[kBlock];
    float scores[kBlock];
    for (uint32_t row = 0; row < filter.rows;) {
        size_t n = 0;
        for (; n < kBlock && row < filter.rows; ++row)
            if (filter.test(row)) rows[n++] = row;
        if (scorer_)
            scorer_->gather(rows, n, scores);
        else
            walk_.scorer().score(rows, n, scores);
        for (size_t i = 0; i < n; ++i)
            if (scores[i] <= top.kth()) top.push(scores[i], rows[i]);
    }
}

}  // namespace annkit
