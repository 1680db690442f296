#include "annkit/codec/tile_batch.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <numeric>

#include "annkit/codec/shortlist.h"

namespace annkit {
namespace {

// A tile of rows stays in the second cache while all panels pass over it. Every kernel's block of rows divides the
// step: 48 where rows lie one after the other, 512 where their bits interleave.
size_t tile_rows_for(const simd::Tile& tile, size_t dim) {
    constexpr size_t kTileBytes = size_t(128) << 10, kMost = 4080;
    const size_t step = tile.stride(dim) ? 48 : 512;
    const size_t row_bytes = std::max<size_t>(tile.rows_bytes(dim, step) / step, 1);
    return std::clamp(kTileBytes / row_bytes / step * step, step, kMost / step * step);
}

// Rounded rows in the second cache; more of them than of floats, since they pay for a longer way through the panels.
size_t int8_tile_rows(size_t dim) {
    constexpr size_t kTileBytes = size_t(256) << 10, kStep = 48, kMost = 480;
    return std::clamp(kTileBytes / dim / kStep * kStep, kStep, kMost);
}

// Bounds are looked at once a run of a tile. At first they fall fast: a run takes no more rows than came before it.
constexpr size_t kFirstRows = 48;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TileBatch::TileBatch(const RowScoring& scoring, const Codes& codes, const Rows& queries, int threads)
    : scoring_(scoring),
      codes_(codes),
      queries_(scoring, queries),
      threads_(size_t(threads)),
      limits_(queries.n * threads_),
      shares_(queries.n * threads_) {
    if (Int8Filter::pays(scoring, queries.n)) int8_.emplace(scoring, codes);
    for (size_t i = 0; i < queries_.size(); ++i) terms_.push_back(terms_of(queries_.norm2(i)));
    for (auto* scores : {&limits_, &shares_})
        for (std::atomic<float>& score : *scores) score.store(kInfinity, std::memory_order_relaxed);
    pack();
    tile_rows_ = int8_ ? int8_tile_rows(scoring_.dim) : tile_rows_for(scoring_.tiles.wide, scoring_.dim);
}

QueryTerms TileBatch::terms_of(float norm2) const {
    if (is_l2(scoring_.metric)) return {1, norm2, std::sqrt(norm2)};
    if (scoring_.cosine()) return {inverse_norm(norm2), 1, std::sqrt(norm2)};
    return {1, 0, std::sqrt(norm2)};
}

void TileBatch::pack() {
    const simd::TilePair& tiles = scoring_.tiles;
    size_t bytes = 0;
    std::vector<size_t> offsets;
    for (size_t first = 0; first < queries_.size();) {
        const size_t left = queries_.size() - first;
        const simd::Tile& tile = left <= tiles.narrow.lanes ? tiles.narrow : tiles.wide;
        panels_.push_back({&tile, first, std::min(left, tile.lanes), nullptr, {}});
        if (int8_) {
            const simd::TilePair& of_bytes = simd::kernels().tiles[simd::kI8];
            panels_.back().int8 = int8_->panel(&tile == &tiles.narrow ? of_bytes.narrow : of_bytes.wide, queries_,
                                               first, panels_.back().n);
        }
        offsets.push_back(bytes);
        bytes += (tile.panel_bytes(scoring_.dim) + 63) / 64 * 64;
        first += panels_.back().n;
    }
    packed_ = allocate(bytes);
    for (size_t p = 0; p < panels_.size(); ++p) {
        const void* rows[simd::kMaxLanes];
        for (size_t i = 0; i < panels_[p].n; ++i) rows[i] = queries_.row(panels_[p].first + i);
        panels_[p].tile->pack_queries(rows, panels_[p].n, scoring_.dim, packed_.get() + offsets[p]);
        panels_[p].data = packed_.get() + offsets[p];
    }
}

class TileScan final : public BatchScan {
  public:
    TileScan(const TileBatch& batch, const TopK& empty, int thread)
        : b_(batch),
          thread_(size_t(thread)),
          scorer_(batch.scoring_, batch.codes_),
          lists_(batch.queries_.size(), Shortlist(empty, batch.threads_)),
          pauses_(batch.panels_.size()),
          hits_(2 * simd::kMinHits),
          rows_(batch.tile_rows_),
          pointers_(batch.tile_rows_),
          mul_(batch.tile_rows_),
          add_(batch.tile_rows_) {
        if (batch.int8_) int8_.emplace(batch.scoring_, batch.codes_, batch.tile_rows_);
    }

    void scan(RowRange range, const Bitset* allowed) override {
        for (uint32_t row = range.first; row < range.last;) {
            first_ = allowed == nullptr ? b_.codes_.code(row) : nullptr;
            if (first_ != nullptr) {
                n_ = std::min<size_t>({b_.tile_rows_, range.last - row, b_.codes_.run(row)});
                std::iota(rows_.begin(), rows_.begin() + ptrdiff_t(n_), row);
                row += uint32_t(n_);
            } else {
                for (n_ = 0; row < range.last && n_ < b_.tile_rows_; ++row)
                    if (allowed->test(row)) rows_[n_++] = row;
            }
            if (n_ > 0) score_tile();
        }
    }

    TopK& result(size_t query) override {
        RowScorer own(b_.scoring_, b_.codes_);
        exchange(query);
        TopK& top = lists_[query].finish(
            [&](const uint32_t* rows, const uint32_t*, size_t n, float* out) { exact(own, query, rows, n, out); });
        exchange(query);
        return top;
    }

  private:
    using Panel = TileBatch::Panel;
    // What one of the two kinds of tiles takes and gives.
    struct Pass {
        const simd::Tile& tile;
        const void* panel;
        const void* rows;
        size_t stride;
        const float* mul;
        const float* add;
        const QueryTerms* terms;
        float largest_norm;   // of the rows
        const float* widths;  // by how much a row's score is a lower bound; null: by rounding alone
    };
    // Bytes that cannot tell the rows apart are left out for a while, the longer the more often.
    struct Pause {
        uint32_t left = 0, length = 0;
    };

    void exact(RowScorer& scorer, size_t query, const uint32_t* rows, size_t n, float* out) const {
        scorer.query(b_.queries_.row(query), b_.queries_.norm2(query));
        scorer.gather(rows, n, out);
    }

    // Tells the other threads what this one knows of a query, and takes what they know.
    void exchange(size_t query) {
        Shortlist& list = lists_[query];
        const size_t queries = lists_.size(), mine = thread_ * queries + query;
        b_.limits_[mine].store(list.limit(), std::memory_order_relaxed);
        b_.shares_[mine].store(list.share(), std::memory_order_relaxed);
        float limit = list.limit(), all = list.share();
        for (size_t i = query; i < b_.limits_.size(); i += queries) {
            limit = std::min(limit, b_.limits_[i].load(std::memory_order_relaxed));
            all = std::max(all, b_.shares_[i].load(std::memory_order_relaxed));
        }
        list.tighten(std::min(limit, all));
    }
    void exchange(const Panel& panel) {
        for (size_t i = 0; i < panel.n; ++i) exchange(panel.first + i);
    }

    void score_tile() {
        described_ = in_bytes_ = false;
        packed_for_ = nullptr;
        // Bounds fall ever more slowly.
        exchange_ = b_.threads_ > 1 && seen_ >= next_exchange_;
        if (exchange_) next_exchange_ = seen_ + seen_ / 16;
        // Each thread begins with panels of its own, and has the others' bounds when it comes to theirs.
        const size_t panels = b_.panels_.size();
        for (size_t p = 0; p < panels; ++p) {
            const size_t i = (p + thread_ * panels / b_.threads_) % panels;
            const Panel& panel = b_.panels_[i];
            if (exchange_) exchange(panel);
            const size_t done = panel.int8 && use_bytes(panel, pauses_[i]) ? filter_by_bytes(panel, pauses_[i]) : 0;
            if (done < n_) score_as_stored(panel, done);
            if (exchange_ && seen_ == 0) exchange(panel);
        }
        seen_ += n_;
    }

    // Not before there are bounds to filter by.
    bool use_bytes(const Panel& panel, Pause& pause) const {
        if (pause.left > 0) return pause.left--, false;
        for (size_t lane = 0; lane < panel.n; ++lane)
            if (lists_[panel.first + lane].bound() == kInfinity) return false;
        return true;
    }

    // Returns the first row that it left to the other pass: where many rows hit, their exact scores cost more than a
    // tile of floats.
    size_t filter_by_bytes(const Panel& panel, Pause& pause) {
        constexpr size_t kRareHits = 32;
        constexpr uint32_t kLongest = 63;
        constexpr float kLargestNorm =
            4e18f;  // of query and row together: beyond, squares of what is moved may overflow
        if (!in_bytes_) int8_->round(b_.int8_->center(), rows_.data(), n_);
        in_bytes_ = true;
        if (!(panel.int8->norm + int8_->largest_norm() <= kLargestNorm)) return 0;
        int8_->bound(*panel.int8);
        const simd::Tile& tile = *panel.int8->tile;
        const size_t done =
            run({tile, panel.int8->packed.get(), int8_->pack(tile), tile.stride(b_.scoring_.dim), int8_->mul(),
                 int8_->add(), panel.int8->terms.data(), int8_->largest_norm(), int8_->widths()},
                panel, 0, n_ * panel.n / kRareHits + 1);
        pause.length = done == n_ ? 0 : std::min(2 * pause.length + 1, kLongest);
        pause.left = pause.length;
        return done;
    }

    void score_as_stored(const Panel& panel, size_t from) {
        if (!described_) describe_rows();
        described_ = true;
        const bool in_place = first_ != nullptr && b_.scoring_.in_place;
        if (!in_place && packed_for_ != panel.tile) pack_rows(*panel.tile);
        const void* rows = in_place ? first_ : packed_.get();
        const size_t stride = in_place ? b_.codes_.code_bytes() : panel.tile->stride(b_.scoring_.dim);
        run({*panel.tile, panel.data, rows, stride, mul_.data(), add_.data(), &b_.terms_[panel.first], largest_norm_,
             nullptr},
            panel, from, SIZE_MAX);
    }

    void pack_rows(const simd::Tile& tile) {
        const size_t bytes = tile.rows_bytes(b_.scoring_.dim, n_);
        if (bytes > packed_bytes_) {
            packed_bytes_ = std::max(bytes, tile.rows_bytes(b_.scoring_.dim, b_.tile_rows_));
            packed_ = allocate(packed_bytes_);
        }
        const size_t apart = b_.codes_.code_bytes();
        for (size_t i = 0; i < n_; ++i)
            pointers_[i] = first_ != nullptr ? first_ + i * apart : b_.codes_.code(rows_[i]);
        tile.pack_rows(pointers_.data(), n_, b_.scoring_.dim, packed_.get());
        packed_for_ = &tile;
    }

    float norm2(size_t i) const { return *b_.codes_.columns[RowScoring::kNorms].at<float>(rows_[i]); }

    void describe_rows() {
        if (b_.scoring_.metric == Metric::hamming) return;
        const bool l2 = is_l2(b_.scoring_.metric), cosine = b_.scoring_.cosine();
        float largest = 0;
        for (size_t i = 0; i < n_; ++i) {
            largest = std::max(largest, norm2(i));
            mul_[i] = l2 ? -2.0f : cosine ? -inverse_norm(norm2(i)) : -1.0f;
            add_[i] = l2 ? norm2(i) : 0.0f;
        }
        largest_norm_ = std::sqrt(largest);
    }

    // How far what the tile computes can be from the canonical score, before scaling. A sum of d products, in whatever
    // order, is off by at most d * u * |q| |x| (Higham, Accuracy and Stability of Numerical Algorithms, 3.5); twice
    // that for the two sums compared, and some more for norms and the last operations.
    float margin_of(const QueryTerms& query, float largest_norm) const {
        if (b_.scoring_.metric == Metric::hamming) return 0;
        constexpr float kUnit = FLT_EPSILON / 2;
        const float relative = 2 * (float(b_.scoring_.dim) + 16) * kUnit;
        if (b_.scoring_.cosine()) return relative * query.norm;
        if (!is_l2(b_.scoring_.metric)) return relative * query.norm * largest_norm + FLT_MIN;
        return relative * (query.norm + largest_norm) * (query.norm + largest_norm) + FLT_MIN;
    }

    float tile_bound(float bound, const QueryTerms& query, float margin) const {
        if (bound == kInfinity) return kInfinity;
        if (query.scale == 0) return bound >= query.offset ? kInfinity : -kInfinity;  // a query of zeros
        return (bound - query.offset) / query.scale + margin;
    }

    // Passes the panel over the rows from first on until it has met all of them, or too many hits; returns the first
    // row that it has not met.
    size_t run(const Pass& pass, const Panel& panel, size_t first, size_t most_hits) {
        float bounds[simd::kMaxLanes], margins[simd::kMaxLanes];
        std::fill(bounds, bounds + pass.tile.lanes, std::numeric_limits<float>::quiet_NaN());
        for (size_t lane = 0; lane < panel.n; ++lane) margins[lane] = margin_of(pass.terms[lane], pass.largest_norm);
        simd::TileArgs args{pass.panel, pass.rows, pass.stride, b_.scoring_.dim, n_,          first,
                            pass.mul,   pass.add,  bounds,      hits_.data(),    hits_.size()};
        bool moved = true;
        for (size_t hits = 0; args.first < n_ && hits <= most_hits;) {
            for (size_t lane = 0; moved && lane < panel.n; ++lane) {
                bounds[lane] = tile_bound(lists_[panel.first + lane].bound(), pass.terms[lane], margins[lane]);
            }
            args.n = std::min(args.first + std::max(seen_ + args.first, kFirstRows), n_);
            const simd::TileResult done = pass.tile.run(args);
            for (size_t i = 0; i < done.hits; ++i) take(pass, panel.first, hits_[i], margins[hits_[i].lane]);
            moved = done.hits > 0;
            hits += done.hits;
            args.first = done.next;
        }
        return args.first;
    }

    // The hits of one call come in any order of rows.
    void take(const Pass& pass, size_t first_query, const simd::TileHit& hit, float margin) {
        const size_t query = first_query + hit.lane;
        const QueryTerms& terms = pass.terms[hit.lane];
        const float lower = terms.scale * (hit.score - margin) + terms.offset;
        if (!(lower <= lists_[query].limit())) return;  // it has moved since the kernel looked
        const float width = 2 * margin + (pass.widths != nullptr ? pass.widths[hit.row] : 0.0f);
        lists_[query].push(
            lower, terms.scale * width, rows_[hit.row], 0,
            [&](const uint32_t* rows, const uint32_t*, size_t n, float* out) { exact(scorer_, query, rows, n, out); });
    }

    const TileBatch& b_;
    size_t thread_;
    RowScorer scorer_;
    std::vector<Shortlist> lists_;
    std::vector<Pause> pauses_;
    std::vector<simd::TileHit> hits_;
    size_t seen_ = 0;  // rows before the tile at hand
    size_t next_exchange_ = 0;
    bool exchange_ = false;
    // The tile at hand: its rows, as they are stored or packed, and as bytes once a panel asks for them.
    size_t n_ = 0;
    const std::byte* first_ = nullptr;  // of rows that lie side by side; else null
    float largest_norm_ = 0;
    bool described_ = false, in_bytes_ = false;
    std::vector<uint32_t> rows_;
    std::vector<const void*> pointers_;
    std::vector<float> mul_, add_;
    Buffer packed_;
    size_t packed_bytes_ = 0;
    const simd::Tile* packed_for_ = nullptr;
    std::optional<Int8Rows> int8_;
};

std::unique_ptr<BatchScan> TileBatch::start(const TopK& empty, int thread) const {
    return std::make_unique<TileScan>(*this, empty, thread);
}

}  // namespace annkit
