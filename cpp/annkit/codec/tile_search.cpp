#include "annkit/codec/tile_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace annkit {
namespace {

constexpr size_t kHits = 4 * simd::kMinHits;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const simd::Tile& tile_for(const simd::TilePair& tiles, size_t queries) {
    if (queries <= tiles.single.lanes) return tiles.single;
    return queries <= tiles.narrow.lanes ? tiles.narrow : tiles.wide;
}

// The bound of a value that is multiplied afterwards; a query of zeros has one score for all rows.
float before_times(float bound, float times) { return times > 0 ? bound / times : bound >= 0 ? kInfinity : -kInfinity; }

}  // namespace

TileSearch::TileSearch(const TileQueries& queries, std::span<const Visit> visits, Allowed allowed, const TopK& empty,
                       Limits& limits, bool estimates)
    : queries_(queries),
      visits_(visits),
      allowed_(allowed),
      empty_(empty),
      estimates_((estimates && queries.estimates_well()) || queries.tiles_score()),
      at_once_(queries.scores_at_once() && !estimates_),
      limits_(limits),
      lists_(queries.size()),
      met_(queries.size()) {}

size_t TileSearch::choose(std::span<const uint32_t> queries, std::span<const uint32_t> visits, TilePanel& panel) const {
    const simd::TilePair& tiles = queries_.tiles();
    // Tiles of float rows have many lanes: for a few queries, scoring each row is faster.
    constexpr size_t kFewQueries = 4;
    const bool tiled = tiles.wide.run != nullptr && (tiles.single.lanes > 0 || queries.size() >= kFewQueries);
    panel.tile = tiled ? &tile_for(tiles, queries.size()) : nullptr;
    panel.n = std::min(queries.size(), tiled ? panel.tile->lanes : simd::kMaxLanes);
    const Partition& partition = *visits_[visits[0]].partition;
    for (size_t i = 0; i < panel.n; ++i) {
        panel.queries[i] = queries[i];
        panel.visits[i] = visits[i];
        if (!tiled) continue;
        const LaneTerms terms = queries_.terms(queries[i], partition, visits_[visits[i]].coarse);
        panel.terms[i] = terms;
        panel.scales[i] = terms.scale;
        panel.offsets[i] = terms.offset;
        panel.errors[i] = terms.error;
    }
    if (!tiled) return panel.n;
    choose_heavy(panel);
    for (size_t i = panel.n; i < panel.tile->lanes; ++i) panel.scales[i] = panel.offsets[i] = panel.errors[i] = 0;
    return panel.n;
}

void TileSearch::choose_heavy(TilePanel& panel) const {
    const size_t heavy = queries_.heavy().size(), lanes = panel.tile->lanes;
    if (heavy == 0) return;
    panel.heavy.assign(heavy * lanes, 0.0f);
    for (size_t lane = 0; lane < panel.n; ++lane) {
        const float* weights = queries_.heavy_weights(panel.queries[lane]);
        for (size_t i = 0; i < heavy; ++i) panel.heavy[i * lanes + lane] = weights[i];
    }
}

void TileSearch::pack(const TilePanel& panel, TileScratch& to) const {
    if (panel.tile == nullptr) return;
    const void* rows[simd::kMaxLanes];
    for (size_t i = 0; i < panel.n; ++i) rows[i] = queries_.panel_row(panel.queries[i]);
    to.reserve(panel.tile->panel_bytes(queries_.tile_dim()));
    panel.tile->pack_queries(rows, panel.n, queries_.tile_dim(), to.bytes());
}

const void* TileSearch::packed(const TilePanel& panel) {
    if (panel.data.bytes() != nullptr) return panel.data.bytes();
    if (!is_packed_) pack(panel, packed_);
    is_packed_ = true;
    return packed_.bytes();
}

void TileSearch::scan(const TilePanel& panel, RowRange range, bool far) {
    const Partition& partition = *visits_[panel.visits[0]].partition;
    const std::span queries(panel.queries, panel.n);
    is_packed_ = false;
    least_met_ = SIZE_MAX;
    for (const uint32_t query : queries) {
        list(query).tighten(limits_.of(query));
        least_met_ = std::min(least_met_, met_[query]);
        met_[query] += range.last - range.first;
    }
    if ((estimates_ || at_once_) && partition.rows != nullptr) partition.rows->prefetch(range.first, range.last);
    const bool few = meets_few(panel);
    if (few) score_few(panel, partition, range);
    for (size_t first = few ? range.last : range.first; first < range.last;) {
        const size_t n = std::min<size_t>(
            {step(panel, partition, first, range.last), range.last - first, partition.codes->run(first)});
        if (panel.tile != nullptr && !is_faster_alone(panel, n))
            scan_rows(panel, partition, first, n, far);
        else
            score_rows(panel, partition, first, n);
        first += n;
        least_met_ += n;
    }
    for (const uint32_t query : queries) limits_.lower(query, lists_[query]->limit());
}

// Rows whose scores for all queries of a panel stay in the second cache; several times k, so that they bound it.
size_t TileSearch::step(const TilePanel& panel, const Partition& partition, size_t first, size_t last) const {
    constexpr size_t kInCache = 1024, kOfEach = 20;
    const size_t most = queries_.tile_rows();
    if (!meets_all(panel, first) || finds_near(panel, partition, std::min(most, last - first))) return most;
    return std::min(most, std::max<size_t>((empty_.limit() * kOfEach + kInCache / 2) / kInCache, 1) * kInCache);
}

simd::TileArgs TileSearch::args_of(const Meeting& meeting, size_t n, const float* bounds) {
    const TilePanel& panel = meeting.panel;
    const TileRows& rows = meeting.rows;
    if (!hits_) hits_ = std::make_unique_for_overwrite<simd::TileHit[]>(kHits);
    simd::TileArgs args{packed(panel), rows.data,    rows.stride, queries_.tile_dim(), n,     0,
                        rows.mul,      rows.add,     bounds,      hits_.get(),         kHits, panel.scales,
                        panel.offsets, panel.errors, rows.err};
    const std::span<const uint32_t> heavy = queries_.heavy();
    args.heavy = heavy.size(), args.heavy_at = heavy.data(), args.heavy_weights = panel.heavy.data();
    return args;
}

// How many hits of a query are taken together. For large k its bound moves once in so many hits only, and the more are
// taken together, the longer its tables stay in the first cache.
size_t TileSearch::hits_a_lane() const {
    constexpr size_t kShare = 8, kMost = 64;
    return empty_.limit() > kFew ? std::min(empty_.limit() / kShare, kMost) : 1;
}

void TileSearch::scan_rows(const TilePanel& panel, const Partition& partition, size_t first, size_t n, bool far) {
    now_->met += n * panel.n;
    const TileRows rows = queries_.rows(partition, first, n, scratch_);
    const Meeting meeting{panel, partition, first, rows, rows.size != nullptr ? largest_size(rows.size, n) : 0.0f};
    float bounds[simd::kMaxLanes];
    std::fill(bounds, bounds + panel.tile->lanes, std::numeric_limits<float>::quiet_NaN());
    simd::TileArgs args = args_of(meeting, n, bounds);
    args.pause = panel.n * hits_a_lane() + 3;
    args.far = far;
    args.first = finds_near(panel, partition, n) ? scan_near(meeting, n) : scan_first(meeting, n);
    if (args.first < n && at_once_ && empty_.limit() > kFew) settle(panel);
    const size_t block = partition.codes->block;
    bool moved = true;
    while (args.first < n) {
        bool bounded = true;
        for (size_t i = 0; moved && i < panel.n; ++i) {
            const float bound = list(panel.queries[i]).bound();
            bounded = bounded && bound < kInfinity;
            bounds[i] = bound < kInfinity ? bound - panel.terms[i].base + meeting.margin(i) : kInfinity;
            if (panel.terms[i].times != 1) bounds[i] = before_times(bounds[i], panel.terms[i].times);
        }
        const size_t step = bounded ? n : (std::max(args.first, kFirstRows) + block - 1) / block * block;
        args.n = std::min(args.first + step, n);
        const simd::TileResult done = panel.tile->run(args);
        for (size_t i = 0; queries_.has_times() && i < done.hits; ++i)
            hits_[i].score *= panel.terms[hits_[i].lane].times;
        take(meeting, done.hits);
        moved = done.hits > 0;
        args.first = done.next;
    }
}

// For large k the tile's values of all of the first rows are kept, and what they bound waits for its scores: a hit that
// a tile reports, and its score, cost as much as hundreds of values.
bool TileSearch::meets_all(const TilePanel& panel, size_t first) const {
    constexpr size_t kRowsAHit = 256;
    const size_t k = empty_.limit();
    return k > kFew && panel.tile != nullptr && panel.tile->all_scores && allowed_.sets.empty() &&
           first / kRowsAHit < k;
}

// Without a bound every row is a hit. Where a query has none yet, the scores of all of the first rows tell its k best.
// Returns how many rows that took care of.
size_t TileSearch::scan_first(const Meeting& meeting, size_t n) {
    // Rows that are met once, or once more; the largest k for the latter.
    constexpr size_t kFirst = 1024, kTwice = 256, kMostHits = 256;
    const TilePanel& panel = meeting.panel;
    const simd::Tile& single = queries_.tiles().single;
    const size_t k = empty_.limit();
    const bool some = !is_bounded(panel);
    const bool enough = n >= 2 * std::max(k, kFirstRows / 2);
    const bool all = (n >= kFirst || meeting.first > 0) && (enough || !some) && meets_all(panel, meeting.first);
    if (single.lanes == 0 || !allowed_.sets.empty() || !(all || (some && enough))) return 0;
    if (!panel.tile->all_scores) {
        if (k > kMostHits) return 0;
        n = std::min(n, std::max(4 * k, kTwice));
        for (size_t i = 0; i < panel.n; i += single.lanes) {
            const size_t few = std::min(single.lanes, panel.n - i);
            choose(std::span(panel.queries).subspan(i, few), std::span(panel.visits).subspan(i, few), first_panel_);
            pack(first_panel_);
            score_all({first_panel_, meeting.partition, meeting.first, meeting.rows, meeting.most}, n);
        }
        return 0;
    }
    if (!all) n = std::min(n, std::max(kFirst, 4 * k));
    score_all(meeting, n);
    for (size_t lane = 0; lane < panel.n; ++lane) take_first(meeting, lane, n);
    return n;
}

// Of the first n rows, which have all their scores.
void TileSearch::take_first(const Meeting& meeting, size_t lane, size_t n) {
    const LaneTerms& terms = meeting.panel.terms[lane];
    const uint32_t query = meeting.panel.queries[lane], visit = meeting.panel.visits[lane];
    Shortlist& list = *lists_[query];
    const float* scores = &scores_[lane * n];
    const float margin = meeting.margin(lane);
    const size_t found = simd::kernels().select(scores, n, list.bound() - terms.base + margin, near_.data());
    if (empty_.limit() > kFew && !estimates_) {
        float err = 0;
        for (size_t i = 0; meeting.rows.err != nullptr && i < found; ++i)
            err = std::max(err, meeting.rows.err[near_[i]]);
        return list.push(
            found, terms.width - 2 * terms.error * err + 2 * margin,
            [&](size_t i) { return meeting.lower(lane, near_[i], scores[near_[i]]); },
            [&](size_t i) { return uint32_t(meeting.first + near_[i]); }, visit,
            [&](uint32_t* rows, const uint32_t* visits, size_t some, float* out) {
                score(query, rows, visits, some, out);
            });
    }
    for (size_t done = 0; done < found;) {
        const size_t some = std::min(found - done, kHits);
        for (size_t i = 0; i < some; ++i, ++done) hits_[i] = {scores[near_[done]], near_[done], uint32_t(lane)};
        take(meeting, some);
    }
}

// The scores of n rows for all lanes of a tile, which bound those of its queries that have no bound.
void TileSearch::score_all(const Meeting& meeting, size_t n) {
    const TilePanel& panel = meeting.panel;
    const size_t k = empty_.limit();
    scores_.resize(panel.tile->lanes * n);
    near_.resize(n);
    float bounds[simd::kMaxLanes];
    std::fill(bounds, bounds + panel.tile->lanes, kInfinity);
    simd::TileArgs args = args_of(meeting, n, bounds);
    args.scores = scores_.data();
    panel.tile->run(args);
    for (size_t lane = 0; lane < panel.n; ++lane) {
        const LaneTerms& terms = panel.terms[lane];
        Shortlist& list = *lists_[panel.queries[lane]];
        if (list.bound() < kInfinity) continue;
        const float* scores = &scores_[lane * n];
        if (simd::kernels().count(scores, n, kInfinity) < n) continue;  // NaN: a file with damaged factors
        const uint32_t* best = smallest_.of(scores, n, k);
        float limit = -kInfinity;
        for (size_t i = 0; i < k; ++i) {
            const float lower = terms.base + scores[best[i]] - meeting.margin(lane);
            const float err = args.err != nullptr ? 2 * terms.error * args.err[best[i]] : 0.0f;
            limit = std::max(limit, Shortlist::upper_of(lower, terms.width - err + 2 * meeting.margin(lane)));
        }
        list.tighten(limit);
    }
}

// A tile's hits, the first n of hits_.
void TileSearch::take(const Meeting& meeting, size_t n) {
    now_->hits += n;
    if (hits_a_lane() > 1) sort_by_lane(meeting.panel.n, n);
    if (at_once_) return take_at_once(meeting, n);
    for (size_t i = 0; i < n; ++i)
        if (is_near(meeting, hits_[i])) take(meeting, hits_[i]);
}

// Whether it still is, as bounds have moved since the tile looked.
bool TileSearch::is_near(const Meeting& meeting, const simd::TileHit& hit) const {
    const uint32_t query = meeting.panel.queries[hit.lane];
    if (!(meeting.lower(hit) <= lists_[query]->limit())) return false;
    const Bitset* allowed = allowed_.of(query);
    return allowed == nullptr || allowed->test(meeting.row(hit));
}

// First the scores of all hits, so that none waits for what is decided about the one before.
void TileSearch::take_at_once(const Meeting& meeting, size_t n) {
    const TilePanel& panel = meeting.panel;
    size_t kept = n;
    if (!allowed_.sets.empty()) {  // else nearly all are near still, and asking costs more
        kept = 0;
        for (size_t i = 0; i < n; ++i)
            if (is_near(meeting, hits_[i])) hits_[kept++] = hits_[i];
    }
    exact_.resize(std::max(exact_.size(), kept));
    for (size_t i = 0; i < kept; ++i) {
        const uint32_t lane = hits_[i].lane, position = meeting.position(hits_[i]);
        queries_.score(panel.queries[lane], meeting.partition, visits_[panel.visits[lane]].coarse, &position, 1,
                       &exact_[i]);
    }
    for (size_t i = 0; i < kept; ++i) {
        // As in Shortlist::decide.
        const float score = std::max(exact_[i], meeting.lower(hits_[i]));
        Shortlist& list = *lists_[panel.queries[hits_[i].lane]];
        if (score <= list.limit()) list.push_exact(score, meeting.row(hits_[i]));
    }
}

// So that a query's tables stay in the first cache.
void TileSearch::sort_by_lane(size_t lanes, size_t n) {
    uint32_t starts[simd::kMaxLanes + 1] = {};
    for (size_t i = 0; i < n; ++i) ++starts[hits_[i].lane + 1];
    for (size_t lane = 0; lane < lanes; ++lane) starts[lane + 1] += starts[lane];
    mixed_.assign(hits_.get(), hits_.get() + n);
    for (const simd::TileHit& hit : mixed_) hits_[starts[hit.lane]++] = hit;
}

void TileSearch::take(const Meeting& meeting, const simd::TileHit& hit) {
    const LaneTerms& terms = meeting.panel.terms[hit.lane];
    const uint32_t query = meeting.panel.queries[hit.lane];
    const float* err = meeting.rows.err;
    Shortlist& list = *lists_[query];
    if (estimates_)
        return list.push_exact(terms.middle(hit.score, err != nullptr ? err[hit.row] : 0.0f), meeting.row(hit));
    const float width = terms.width - (err != nullptr ? 2 * terms.error * err[hit.row] : 0.0f);
    list.push(
        meeting.lower(hit), width + 2 * meeting.margin(hit.lane), meeting.position(hit), meeting.panel.visits[hit.lane],
        [&](uint32_t* rows, const uint32_t* visits, size_t n, float* out) { score(query, rows, visits, n, out); });
}

void TileSearch::settle(const TilePanel& panel) {
    for (const uint32_t query : std::span(panel.queries, panel.n))
        lists_[query]->settle(
            [&](uint32_t* rows, const uint32_t* visits, size_t n, float* out) { score(query, rows, visits, n, out); });
}

// Positions become rows. The lists may have left the cache since.
void TileSearch::score(size_t query, uint32_t* rows, const uint32_t* visits, size_t n, float* out) const {
    constexpr size_t kLine = 64;
    for (size_t i = 0; i < n; ++i) {
        const Codes& codes = *visits_[visits[i]].partition->codes;
        const std::byte* code = codes.block_of(rows[i]);
        for (size_t at = 0; at < codes.columns[0].row_bytes(); at += kLine) __builtin_prefetch(code + at);
    }
    for (size_t i = 0; i < n;) {
        size_t same = 1;
        while (i + same < n && visits[i + same] == visits[i]) ++same;
        const Visit& visit = visits_[visits[i]];
        queries_.score(query, *visit.partition, visit.coarse, rows + i, same, out + i);
        for (size_t j = i; j < i + same; ++j) rows[j] = visit.partition->row(rows[j]);
        i += same;
    }
}

bool TileSearch::is_faster_alone(const TilePanel& panel, size_t n) {
    constexpr size_t kLeastMet = 1024, kMostMet = size_t(1) << 16, kAgain = 16;
    // So few rows, or for more queries codes, are bounded for each query alone sooner than a tile would bound them.
    constexpr size_t kFewRows = 1024, kFewQueries = 16, kFewCodes = size_t(1) << 19;
    // A hit costs as much as 1,024 dimensions of rows that are bounded one by one and seven rows, and each of
    // those as much as 96 dimensions more than it has.
    constexpr size_t kHit = 1024, kRowsAHit = 7, kRow = 96;
    if (!queries_.bounds_runs() || queries_.tiles_score() || queries_.tiles().single.lanes == 0) return false;
    const bool some = !is_bounded(panel);
    const size_t dim = queries_.tile_dim();
    if (some && n <= kFewRows && (panel.n <= kFewQueries || n * dim <= kFewCodes)) return true;
    if (estimates_) return false;
    Told& told = told_[some];
    now_ = &told;
    if (told.met > kMostMet) told.met /= 2, told.hits /= 2;
    const size_t hit = kHit + kRowsAHit * dim;
    return told.met >= kLeastMet && told.hits * hit > told.met * (dim + kRow) && ++told.passed % kAgain != 0;
}

TopK& TileSearch::result(size_t query) {
    list(query).tighten(limits_.of(query));
    TopK& top = list(query).finish(
        [&](uint32_t* rows, const uint32_t* visits, size_t n, float* out) { score(query, rows, visits, n, out); });
    limits_.lower(query, list(query).limit());
    return top;
}

}  // namespace annkit
