#include "annkit/index/graph_search.h"

#include <algorithm>
#include <bit>

namespace annkit {
namespace {

// A walk's work grows with ef and as the share of allowed rows falls, that of a scan with their number (SIFT, 100,000
// rows: a scan is faster from 3 % down at ef=20).
constexpr double kScanned = 6;
// Of rows of which fewer are allowed, a walk goes around the others (at a tenth, 1.7 times as fast at a recall of
// 0.95).
constexpr double kAround = 0.22;
// What a walk keeps in order takes it the longer the more there is, and a range may hold any number of rows: where that
// is more than one row in so many, all are scanned.
constexpr double kScannedRange = 32;

}  // namespace

GraphSearch::GraphSearch(const Graph& graph, const Codec& codec, Metric metric, const Codes& codes, size_t dim,
                         bool estimates)
    : graph_(graph), walk_(graph, codec.walk_scorer(metric, codes, dim), scratch_) {
    if (!estimates && !walk_.scorer().canonical()) scorer_ = codec.scorer(metric, codes, dim);
}

void GraphSearch::query(const Rows& one) {
    walk_.scorer().query(one);
    if (scorer_) scorer_->query(one);
}

void GraphSearch::take(const NearPool& pool) {
    found_.clear();
    const size_t n = pool.within();
    for (size_t i = 0; i < n; ++i) found_.push_back(pool[i]);
}

void GraphSearch::walk(const WalkLimits& limits) { take(walk_.near(0, walk_.descend(0), limits.pool)); }

void GraphSearch::finish(TopK& top) {
    take(walk_.pool());
    push_found(top);
}

// Until the next node is farther than what the pool keeps of allowed ones.
bool GraphSearch::walk_allowed(const WalkLimits& limits, const GraphFilter& filter, Way way) {
    const auto farther = [](const Near& a, const Near& b) { return a.score > b.score; };
    const GraphLayer& layer = graph_.layer(0);
    frontier_.clear();
    nearest_.start(limits.pool);
    size_t scored = 0;
    const auto meet = [&](size_t n) {
        scored += n;
        for (size_t i = 0; i < n; ++i) {
            const Near near{walk_.scores()[i], walk_.nodes()[i]};
            if (!(near.score <= nearest_.bound())) continue;
            frontier_.push_back(near);
            std::push_heap(frontier_.begin(), frontier_.end(), farther);
            if (filter.test(near.node)) nearest_.push(&near.score, &near.node, 1);
        }
    };
    meet(walk_.begin(layer, walk_.descend(0)));
    while (!frontier_.empty() && frontier_.front().score <= nearest_.bound()) {
        if (scored > filter.count) return false;
        std::pop_heap(frontier_.begin(), frontier_.end(), farther);
        const uint32_t node = frontier_.back().node;
        frontier_.pop_back();
        meet(way == Way::around ? walk_.expand_allowed(node, filter) : walk_.expand(layer, node));
    }
    take(nearest_);
    return true;
}

void GraphSearch::push_found(TopK& top) {
    if (scorer_) {
        rows_.clear();
        for (const Near& near : found_) rows_.push_back(near.node);
        return push_rows(top);
    }
    // They come in order: behind the k-th, only what is as near can enter.
    const size_t k = std::min(top.limit(), found_.size());
    size_t n = 0;
    rows_.resize(found_.size());
    scores_.resize(found_.size());
    for (; n < found_.size() && (n < k || found_[n].score == found_[k - 1].score); ++n)
        rows_[n] = found_[n].node, scores_[n] = found_[n].score;
    top.push(scores_.data(), rows_.data(), n, top.kth());
}

void GraphSearch::push_rows(TopK& top) {
    scores_.resize(rows_.size());
    if (scorer_)
        scorer_->gather_nearest(top.limit(), top.kth(), rows_.data(), rows_.size(), scores_.data());
    else
        walk_.scorer().score(rows_.data(), rows_.size(), scores_.data());
    for (size_t i = 0; i < rows_.size(); ++i)
        if (scores_[i] <= top.kth()) top.push(scores_[i], rows_[i]);
}

void GraphSearch::find(const WalkLimits& limits, const GraphFilter& filter, TopK& top) {
    const bool all = filter.set == nullptr && graph_.size() <= filter.rows;
    return all ? find_anywhere(limits, filter, top) : find_allowed(limits, filter, top);
}

// What lies within a bound is found when the walk has seen beyond: until then ef grows.
bool GraphSearch::seen_beyond(const WalkLimits& limits, const TopK& top) const {
    return top.limit() != SIZE_MAX || found_.size() < limits.enough() || found_.back().score > top.kth();
}

void GraphSearch::find_anywhere(WalkLimits limits, const GraphFilter& everything, TopK& top) {
    for (walk(limits); !seen_beyond(limits, top); walk(limits)) {
        limits.widen();
        if (double(graph_.size()) < kScannedRange * double(limits.ef)) return scan(everything, top);
    }
    push_found(top);
}

void GraphSearch::find_allowed(WalkLimits limits, const GraphFilter& filter, TopK& top) {
    const double share = double(filter.count) / double(graph_.size());
    for (const size_t first = limits.ef;; limits.widen()) {
        // Only ranges widen a walk.
        const bool wide = limits.ef > first && double(graph_.size()) < kScannedRange * double(limits.ef);
        if (wide || share * double(filter.count) < kScanned * double(limits.ef)) return scan(filter, top);
        const Way way = share < kAround ? Way::around : Way::through;
        if (!walk_allowed(limits, filter, way)) return scan(filter, top);
        // Around what is not allowed there may be no way to where the allowed rows are.
        if (way == Way::around && found_.size() < limits.enough() && !walk_allowed(limits, filter, Way::through))
            return scan(filter, top);
        if (seen_beyond(limits, top)) break;
    }
    push_found(top);
}

// Every allowed row.
void GraphSearch::scan(const GraphFilter& filter, TopK& top) {
    constexpr size_t kBlock = 1024, kWord = 64;
    rows_.clear();
    const auto score = [&] {
        push_rows(top);
        rows_.clear();
    };
    for (size_t first = 0; first < filter.rows; first += kWord) {
        uint64_t word = filter.set != nullptr ? filter.set->word(first / kWord) : ~uint64_t(0);
        if (filter.rows - first < kWord) word &= (uint64_t(1) << (filter.rows - first)) - 1;
        for (; word != 0; word &= word - 1) rows_.push_back(uint32_t(first) + uint32_t(std::countr_zero(word)));
        if (rows_.size() >= kBlock) score();
    }
    score();
}

}  // namespace annkit
