#include "annkit/index/graph_pruner.h"

#include <algorithm>

namespace annkit {
namespace {

// A candidate gives way to a link that is so many times nearer to it than the node is.
constexpr float kSlack = 1.0f;

}  // namespace

void GraphPruner::score(const GraphLayer& layer, uint32_t node, std::span<const Near> others) {
    rows_.clear();
    for (const Near& other : others) rows_.push_back(layer.row(other.node & GraphLayer::kNode));
    scores_.resize(others.size());
    scorer_->query_row(layer.row(node));
    scorer_->score(rows_.data(), rows_.size(), scores_.data());
}

void GraphPruner::rank(const GraphLayer& layer, uint32_t node, std::vector<Near>& candidates) {
    score(layer, node, candidates);
    for (size_t i = 0; i < candidates.size(); ++i) candidates[i].score = scores_[i];
    std::sort(candidates.begin(), candidates.end(), [](const Near& a, const Near& b) {
        return a.score != b.score ? a.score < b.score : (a.node & GraphLayer::kNode) < (b.node & GraphLayer::kNode);
    });
}

// Each link that is chosen strikes out candidates behind it, with all their distances from it computed at once.
void GraphPruner::choose(const GraphLayer& layer, size_t most, std::vector<Near>& candidates) {
    chosen_.clear();
    left_.assign(candidates.begin(), candidates.end());
    const auto hangs = [](const Near& one) { return (one.node & GraphLayer::kHangs) != 0; };
    auto hanging = size_t(std::count_if(left_.begin(), left_.end(), hangs));
    while (!left_.empty() && chosen_.size() < most) {
        const Near best = left_.front();
        left_.erase(left_.begin());
        if (hangs(best))
            --hanging;
        else if (chosen_.size() + hanging >= most)
            continue;
        chosen_.push_back(best);
        if (left_.empty() || chosen_.size() == most) break;
        score(layer, best.node & GraphLayer::kNode, left_);
        size_t kept = 0;
        for (size_t i = 0; i < left_.size(); ++i)
            if (hangs(left_[i]) || kSlack * (scores_[i] + shift_) > left_[i].score + shift_) left_[kept++] = left_[i];
        left_.resize(kept);
    }
    candidates.swap(chosen_);
}

}  // namespace annkit
