#include "annkit/index/graph_pruner.h"

#include <algorithm>
#include <limits>

namespace annkit {
namespace {

// A candidate gives way to a link that is nearer to it than the node is (Malkov, Yashunin 2018, algorithm 4). Where
// squared distances are so many times apart at most, it comes second: of rows that are about equally far from each
// other there are too many of these to be worth looking at, so that they are at most so large a share of the others.
// Inner products are no distances: there a factor below 1 keeps more links, without which walks over rows of different
// norms get stuck.
constexpr float kSlack = 1.3f, kSlackIp = 0.8f;
constexpr double kSeconds = 2.0 / 3;

bool hangs(const Near& one) { return (one.node & GraphLayer::kHangs) != 0; }

bool nearer(const Near& a, const Near& b) {
    return a.score != b.score ? a.score < b.score : (a.node & GraphLayer::kNode) < (b.node & GraphLayer::kNode);
}

}  // namespace

GraphPruner::GraphPruner(const GraphSource& source)
    : scorer_(source.scorer()),
      shift_(source.unit ? 1.0f : 0.0f),
      slack_(source.metric == Metric::ip && !source.unit ? kSlackIp : kSlack) {}

void GraphPruner::score(const GraphLayer& layer, uint32_t node, std::span<const Near> others) {
    rows_.clear();
    for (const Near& other : others) rows_.push_back(layer.row(other.node & GraphLayer::kNode));
    scores_.resize(others.size());
    scorer_->query_row(layer.row(node));
    scorer_->score(rows_.data(), rows_.size(), scores_.data());
}

void GraphPruner::rank(const GraphLayer& layer, uint32_t node, std::vector<Near>& candidates) {
    score(layer, node, candidates);
    constexpr float kFar = std::numeric_limits<float>::infinity();  // in place of NaN, which has no order
    for (size_t i = 0; i < candidates.size(); ++i) candidates[i].score = scores_[i] <= kFar ? scores_[i] : kFar;
    std::sort(candidates.begin(), candidates.end(), nearer);
}

// What gives way to a link that has been chosen goes, or comes second; all distances from it are computed at once.
void GraphPruner::strike(const GraphLayer& layer, uint32_t node) {
    score(layer, node, left_);
    size_t kept = 0;
    for (size_t i = 0; i < left_.size(); ++i) {
        const float from_link = scores_[i] + shift_, from_node = left_[i].score + shift_;
        if (!hangs(left_[i]) && !(slack_ * from_link > from_node)) continue;
        second_[kept] = second_[i] || (!hangs(left_[i]) && !(std::min(1.0f, slack_) * from_link > from_node));
        left_[kept++] = left_[i];
    }
    left_.resize(kept);
    second_.resize(kept);
}

void GraphPruner::choose(const GraphLayer& layer, size_t most, std::vector<Near>& candidates) {
    chosen_.clear();
    left_.assign(candidates.begin(), candidates.end());
    second_.assign(left_.size(), false);
    auto hanging = size_t(std::count_if(left_.begin(), left_.end(), hangs));
    size_t seconds = 0;
    while (!left_.empty() && chosen_.size() < most) {
        auto first = std::find(second_.begin(), second_.end(), false);
        if (first == second_.end()) {
            if (double(seconds + 1) > kSeconds * double(chosen_.size() - seconds)) break;
            ++seconds;
            first = second_.begin();
        }
        const auto at = first - second_.begin();
        const Near best = left_[size_t(at)];
        left_.erase(left_.begin() + at);
        second_.erase(first);
        if (hangs(best))
            --hanging;
        else if (chosen_.size() + hanging >= most)
            continue;
        chosen_.push_back(best);
        if (chosen_.size() < most) strike(layer, best.node & GraphLayer::kNode);
    }
    std::sort(chosen_.begin(), chosen_.end(), nearer);
    candidates.swap(chosen_);
}

}  // namespace annkit
