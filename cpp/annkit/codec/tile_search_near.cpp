// Rows that are near by a tile's dots alone, before any of them gets a score: in lists and indexes that have no factors
// of their rows.
#include <algorithm>

#include "annkit/codec/tile_search.h"

namespace annkit {
namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();
}

// Of the first rows many are near: those of all queries are found first, and a query's get their scores together.
bool TileSearch::finds_near(const TilePanel& panel, const Partition& partition, size_t n) const {
    constexpr size_t kRowsAHit = 4096, kMostHits = 1024;
    const size_t k = empty_.limit();
    if (!at_once_ || k > kMostHits || least_met_ / kRowsAHit >= k || panel.tile == nullptr || !panel.tile->all_rows)
        return false;
    return queries_.is_plain(partition) && allowed_.sets.empty() &&
           (n >= 2 * std::max(k, kFirstRows / 2) || is_bounded(panel));
}

bool TileSearch::is_bounded(const TilePanel& panel) const {
    return std::all_of(panel.queries, panel.queries + panel.n,
                       [this](uint32_t query) { return lists_[query]->bound() < kInfinity; });
}

size_t TileSearch::scan_near(const Meeting& meeting, size_t n) {
    const TilePanel& panel = meeting.panel;
    exact_.resize(std::max(exact_.size(), n));
    const bool many = empty_.limit() > kFew && least_met_ <= n;  // of what is near is among these rows
    const size_t first = many || !is_bounded(panel) ? scan_sums(meeting, n) : 0;
    if (first == n) return n;
    float bounds[simd::kMaxLanes] = {};
    for (size_t i = 0; i < panel.n; ++i) bounds[i] = lists_[panel.queries[i]]->bound() - panel.terms[i].base;
    simd::TileArgs args = args_of(meeting, n, bounds);
    args.first = first;
    finder_.find_near(*panel.tile, args);
    for (size_t lane = 0; lane < panel.n; ++lane) take_near(meeting, lane, finder_.near(lane, empty_.limit() > kFew));
    return n;
}

// The dots of the first rows tell bounds, or better ones. Returns how many rows that took care of.
size_t TileSearch::scan_sums(const Meeting& meeting, size_t n) {
    constexpr size_t kLeast = 2048, kOfEach = 400, kWord = simd::TileArgs::kWord;
    const TilePanel& panel = meeting.panel;
    const size_t k = empty_.limit(), first = std::min(n, std::max(kLeast, (kOfEach * k + kWord - 1) / kWord * kWord));
    const float bounds[simd::kMaxLanes] = {};
    finder_.find_sums(*panel.tile, args_of(meeting, first, bounds));
    // So many of the k best are expected here.
    const size_t best = std::clamp<size_t>(k * first / (least_met_ + first), 1, first);
    for (size_t lane = 0; lane < panel.n; ++lane) take_by_sums(meeting, lane, best);
    return first;
}

// For large k the best rows get their scores first: those leave out many of the others.
void TileSearch::take_by_sums(const Meeting& meeting, size_t lane, size_t best) {
    constexpr float kRounding = 0x1p-20f, kMost = 65535;
    const LaneTerms& terms = meeting.panel.terms[lane];
    const size_t k = empty_.limit();
    Shortlist& list = *lists_[meeting.panel.queries[lane]];
    const auto within = [&] {
        const float most = (list.limit() - terms.base - terms.offset) / terms.scale * (1 + kRounding) + 1;
        return uint16_t(most > 0 ? std::min(most, kMost) : 0.0f);
    };
    const bool bounded = list.bound() < kInfinity;
    // Wide where entries of tables were cut: the score of the k-th best sum says nothing then, their own scores do.
    const bool wide = terms.width > 2 * terms.scale * float(queries_.tile_dim());
    const bool first = k > kFew || (wide && !bounded);
    uint16_t most = bounded && !first ? 0 : finder_.bound(lane, bounded ? best : k), least = 0;
    if (!bounded)
        list.tighten(Shortlist::upper_of(terms.base + (terms.scale * float(most) + terms.offset), terms.width));
    if (first) {
        most = std::min(most, within());
        take_near(meeting, lane, finder_.within(lane, 0, most));
        if (most == kMost) return;
        least = uint16_t(most + 1);
    }
    take_near(meeting, lane, finder_.within(lane, least, within()));
}

// Rows of the tile get their scores, and become rows of the partition.
void TileSearch::take_near(const Meeting& meeting, size_t lane, std::span<uint32_t> rows) {
    if (rows.empty()) return;
    const uint32_t query = meeting.panel.queries[lane];
    for (uint32_t& row : rows) row += uint32_t(meeting.first);
    queries_.score(query, meeting.partition, visits_[meeting.panel.visits[lane]].coarse, rows.data(), rows.size(),
                   exact_.data());
    if (meeting.partition.rows != nullptr)
        for (uint32_t& row : rows) row = meeting.partition.row(row);
    lists_[query]->push_exact(exact_.data(), rows.data(), rows.size());
}

}  // namespace annkit
