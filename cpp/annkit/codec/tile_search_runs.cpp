// Rows that get their scores one by one, or close bounds of all of a run first: where tiles do not pay.
#include <algorithm>

#include "annkit/codec/tile_search.h"

namespace annkit {
namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();
}

void TileSearch::score_rows(const TilePanel& panel, const Partition& partition, size_t first, size_t n) {
    if (queries_.bounds_runs()) return score_runs(panel, first, n);
    constexpr size_t kBlock = 256;
    uint32_t positions[kBlock];
    for (size_t lane = 0; lane < panel.n; ++lane) {
        const Bitset* allowed = allowed_.of(panel.queries[lane]);
        for (size_t at = first; at < first + n;) {
            size_t found = 0;
            for (; found < kBlock && at < first + n; ++at) {
                const auto position = uint32_t(at);
                if (allowed == nullptr || allowed->test(partition.row(position))) positions[found++] = position;
            }
            score_at(panel, lane, positions, found);
        }
    }
}

void TileSearch::score_at(const TilePanel& panel, size_t lane, const uint32_t* positions, size_t n) {
    const Visit& visit = visits_[panel.visits[lane]];
    Shortlist& list = *lists_[panel.queries[lane]];
    scores_.resize(std::max(scores_.size(), n));
    queries_.score(panel.queries[lane], *visit.partition, visit.coarse, positions, n, scores_.data());
    for (size_t i = 0; i < n; ++i)
        if (scores_[i] <= list.bound()) list.push_exact(scores_[i], visit.partition->row(positions[i]));
}

// One query would wait longer for its rows to be looked up than for a tile.
bool TileSearch::meets_few(const TilePanel& panel) const {
    constexpr size_t kTogether = 4;
    return allowed_.few && (!estimates_ || queries_.tiles_score()) && panel.n >= kTogether;
}

void TileSearch::score_few(const TilePanel& panel, const Partition& partition, RowRange range) {
    near_.resize(std::max<size_t>(near_.size(), range.last - range.first));
    const size_t n = partition.rows->select(*allowed_.sets[0], range.first, range.last, near_.data());
    for (size_t lane = 0; lane < panel.n && n > 0; ++lane) score_at(panel, lane, near_.data(), n);
}

void TileSearch::score_runs(const TilePanel& panel, size_t first, size_t n) {
    constexpr size_t kRun = 1024;
    for (size_t lane = 0; lane < panel.n; ++lane)
        for (size_t at = first; at < first + n; at += kRun)
            score_run(panel, lane, {uint32_t(at), uint32_t(std::min(at + kRun, first + n))});
}

// The bounds of a run go to scores_; returns their width, 0 of scores and of estimates that pass for them.
float TileSearch::bound_run(const TilePanel& panel, size_t lane, RowRange range) {
    scores_.resize(std::max<size_t>(scores_.size(), range.last - range.first));
    if (!estimates_ || panel.tile == nullptr)
        return queries_.bound_run(panel.queries[lane], visits_[panel.visits[lane]], range, scratch_, scores_.data());
    estimate_run(panel, lane, range);
    return 0;
}

// The positions of the rows that may be near go to near_. The filter is asked where a row is near enough, as with
// tiles.
size_t TileSearch::near_of_run(const TilePanel& panel, size_t lane, RowRange range, float width) {
    const size_t n = range.last - range.first, k = empty_.limit();
    const uint32_t query = panel.queries[lane];
    const Visit& visit = visits_[panel.visits[lane]];
    const Bitset* allowed = allowed_.of(query);
    Shortlist& list = *lists_[query];
    near_.resize(std::max(near_.size(), n));
    if (list.bound() == kInfinity && allowed == nullptr && k <= n &&
        simd::kernels().count(scores_.data(), n, kInfinity) == n)  // no NaN: a file with damaged factors has some
        list.tighten(Shortlist::upper_of(smallest_.bound(scores_.data(), n, k), width));
    const size_t found = simd::kernels().select(scores_.data(), n, list.bound(), near_.data());
    if (allowed == nullptr) {
        for (size_t i = 0; i < found; ++i) near_[i] += range.first;
        return found;
    }
    size_t kept = 0;
    for (size_t i = 0; i < found; ++i) {
        near_[kept] = near_[i] + range.first;
        kept += allowed->test(visit.partition->row(near_[kept]));
    }
    return kept;
}

// The estimates of a run, as take() has them.
void TileSearch::estimate_run(const TilePanel& panel, size_t lane, RowRange range) {
    const size_t n = range.last - range.first;
    const Partition& partition = *visits_[panel.visits[lane]].partition;
    choose(std::span(&panel.queries[lane], 1), std::span(&panel.visits[lane], 1), first_panel_);
    pack(first_panel_);
    const TileRows rows = queries_.rows(partition, range.first, n, scratch_);
    const Meeting meeting{first_panel_, partition, range.first, rows, 0};
    scores_.resize(std::max(scores_.size(), first_panel_.tile->lanes * n));
    const float bounds[simd::kMaxLanes] = {};
    simd::TileArgs args = args_of(meeting, n, bounds);
    args.scores = scores_.data();
    first_panel_.tile->run(args);
    const LaneTerms& terms = first_panel_.terms[0];
    for (size_t i = 0; i < n; ++i) scores_[i] = terms.middle(scores_[i], rows.err != nullptr ? rows.err[i] : 0.0f);
}

void TileSearch::score_run(const TilePanel& panel, size_t lane, RowRange range) {
    const float width = bound_run(panel, lane, range);
    const size_t found = near_of_run(panel, lane, range, width);
    const uint32_t query = panel.queries[lane];
    const Visit& visit = visits_[panel.visits[lane]];
    exact_.resize(std::max(exact_.size(), found));
    if (width > 0)
        queries_.score(query, *visit.partition, visit.coarse, near_.data(), found, exact_.data());
    else
        for (size_t i = 0; i < found; ++i) exact_[i] = scores_[near_[i] - range.first];
    for (size_t i = 0; i < found; ++i) near_[i] = visit.partition->row(near_[i]);
    lists_[query]->push_exact(exact_.data(), near_.data(), found);
}

}  // namespace annkit
