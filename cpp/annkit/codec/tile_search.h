// The search of compact codes: panels of queries pass over the rows of a partition by tiles, which only filter; what
// they report goes to the query's shortlist, and canonical scores decide. One a thread, for Flat and for lists alike.
#pragma once

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "annkit/codec/near_finder.h"
#include "annkit/codec/shortlist.h"
#include "annkit/codec/tile_queries.h"
#include "annkit/core/bitset.h"
#include "annkit/core/memory.h"
#include "annkit/math/smallest.h"

namespace annkit {

// Queries packed for a tile, for one partition.
struct TilePanel {
    const simd::Tile* tile = nullptr;  // null: the codec has no tile, and every row gets its score
    size_t n = 0;
    uint32_t queries[simd::kMaxLanes], visits[simd::kMaxLanes];
    LaneTerms terms[simd::kMaxLanes];
    float scales[simd::kMaxLanes], offsets[simd::kMaxLanes], errors[simd::kMaxLanes];
    std::vector<float> heavy;  // weights, as simd::TileArgs has them
    TileScratch data;  // the queries as the tile takes them; empty: a search that meets the tile packs them for itself
};

// Which rows a search may find.
struct Allowed {
    std::span<const Bitset* const> sets;  // none for all, one for all queries, or one a query
    bool few = false;                     // the one set has so few that a panel's queries meet them alone
    const Bitset* of(size_t query) const { return sets.empty() ? nullptr : sets[sets.size() == 1 ? 0 : query]; }
};

// For each query a score that k rows, found so far by whichever thread, do not exceed.
class Limits {
  public:
    explicit Limits(size_t queries) : of_(queries) {
        for (auto& limit : of_) limit.store(std::numeric_limits<float>::infinity(), std::memory_order_relaxed);
    }
    float of(size_t query) const { return of_[query].load(std::memory_order_relaxed); }
    void lower(size_t query, float limit) {
        float known = of(query);
        while (limit < known && !of_[query].compare_exchange_weak(known, limit, std::memory_order_relaxed)) {
        }
    }

  private:
    std::vector<std::atomic<float>> of_;
};

class TileSearch {
  public:
    // visits: what the numbers given to pack() mean. limits: shared by the threads of a batch. estimates: of tiles will
    // do as scores. All of it must outlive the search.
    TileSearch(const TileQueries& queries, std::span<const Visit> visits, Allowed allowed, const TopK& empty,
               Limits& limits, bool estimates = false);

    // Up to as many of the (query, visit) pairs as a panel takes; they visit the same partition. Returns how many.
    size_t choose(std::span<const uint32_t> queries, std::span<const uint32_t> visits, TilePanel& panel) const;
    // For panels that several searches share, or that pass over many ranges.
    void pack(TilePanel& panel) const { pack(panel, panel.data); }
    // range.first is a multiple of the codes' block. far: nobody has met these rows just before.
    void scan(const TilePanel& panel, RowRange range, bool far);

    // What waits for its score gets it now, while its rows are in the cache, and bounds are as sharp as they can be.
    void settle(const TilePanel& panel);

    // For all queries from now on; null: all rows.
    void allow(const Bitset* set) {
        only_ = set;
        allowed_.sets = set != nullptr ? std::span<const Bitset* const>(&only_, 1) : std::span<const Bitset* const>();
    }

    bool met(size_t query) const { return lists_[query].has_value(); }
    TopK& result(size_t query);  // of different queries by several threads at once, if need be

  private:
    // While a query has no bound, every row is a hit: so few at first.
    static constexpr size_t kFirstRows = 32;
    // For larger k, bounds are counted out now and then.
    static constexpr size_t kFew = Shortlist::kFew;
    Shortlist& list(size_t query) {
        if (!lists_[query]) lists_[query].emplace(empty_);
        return *lists_[query];
    }
    void choose_heavy(TilePanel& panel) const;
    void pack(const TilePanel& panel, TileScratch& to) const;
    const void* packed(const TilePanel& panel);
    void scan_rows(const TilePanel& panel, const Partition& partition, size_t first, size_t n, bool far);
    // Whether bounds of all n rows by themselves are faster: of few rows, while there are no bounds yet, or where so
    // many rows are hits.
    bool is_faster_alone(const TilePanel& panel, size_t n);
    void score_rows(const TilePanel& panel, const Partition& partition, size_t first, size_t n);
    bool meets_few(const TilePanel& panel) const;
    void score_few(const TilePanel& panel, const Partition& partition, RowRange range);
    void score_at(const TilePanel& panel, size_t lane, const uint32_t* positions, size_t n);
    void score_runs(const TilePanel& panel, size_t first, size_t n);
    void score_run(const TilePanel& panel, size_t lane, RowRange range);
    void estimate_run(const TilePanel& panel, size_t lane, RowRange range);
    float bound_run(const TilePanel& panel, size_t lane, RowRange range);
    size_t near_of_run(const TilePanel& panel, size_t lane, RowRange range, float width);
    // Of rows of a partition and the panel that meets them.
    struct Meeting {
        const TilePanel& panel;
        const Partition& partition;
        size_t first;  // the first row's position
        const TileRows& rows;
        float most;  // the largest |size| of the rows
        float margin(size_t lane) const { return panel.terms[lane].rounding * most; }
        // By the row's own margin: whatever rows are met with it.
        float lower(size_t lane, size_t row, float score) const {
            const LaneTerms& terms = panel.terms[lane];
            return terms.base + score - (rows.size != nullptr ? terms.rounding * std::abs(rows.size[row]) : 0.0f);
        }
        float lower(const simd::TileHit& hit) const { return lower(hit.lane, hit.row, hit.score); }
        uint32_t position(const simd::TileHit& hit) const { return uint32_t(first + hit.row); }
        uint32_t row(const simd::TileHit& hit) const { return partition.row(position(hit)); }
    };
    size_t step(const TilePanel& panel, const Partition& partition, size_t first, size_t last) const;
    bool meets_all(const TilePanel& panel, size_t first) const;
    simd::TileArgs args_of(const Meeting& meeting, size_t n, const float* bounds);
    size_t scan_first(const Meeting& meeting, size_t n);
    void take_first(const Meeting& meeting, size_t lane, size_t n);
    void score_all(const Meeting& meeting, size_t n);
    bool finds_near(const TilePanel& panel, const Partition& partition, size_t n) const;
    bool is_bounded(const TilePanel& panel) const;
    size_t scan_near(const Meeting& meeting, size_t n);
    size_t scan_sums(const Meeting& meeting, size_t n);
    void take_by_sums(const Meeting& meeting, size_t lane, size_t best);
    void take_near(const Meeting& meeting, size_t lane, std::span<uint32_t> rows);
    void take(const Meeting& meeting, size_t n);
    void take_at_once(const Meeting& meeting, size_t n);
    void sort_by_lane(size_t lanes, size_t n);
    size_t hits_a_lane() const;
    void take(const Meeting& meeting, const simd::TileHit& hit);
    bool is_near(const Meeting& meeting, const simd::TileHit& hit) const;
    void score(size_t query, uint32_t* rows, const uint32_t* visits, size_t n, float* out) const;

    const TileQueries& queries_;
    std::span<const Visit> visits_;
    Allowed allowed_;
    const Bitset* only_ = nullptr;
    TopK empty_;
    bool estimates_, at_once_;  // at_once: see TileQueries::scores_at_once
    Limits& limits_;
    // How many of the rows that tiles have met were hits, each query's; with bounds for all, and without.
    struct Told {
        size_t met = 0, hits = 0, passed = 0;
    };
    Told told_[2], *now_ = told_;
    std::vector<std::optional<Shortlist>> lists_;
    std::unique_ptr<simd::TileHit[]> hits_;
    std::vector<simd::TileHit> mixed_;
    TileScratch scratch_;
    TileScratch packed_;  // of the panel that scan() has, once packed() was asked for it
    bool is_packed_ = false;
    TilePanel first_panel_;
    std::vector<float> scores_, exact_;
    std::vector<size_t> met_;  // how many rows each query has met
    size_t least_met_ = 0;     // of the panel's queries
    NearFinder finder_;
    std::vector<uint32_t> near_;
    Smallest smallest_;
};

}  // namespace annkit
