#include "annkit/codec/tile_batch.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

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

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TileBatch::TileBatch(const RowScoring& scoring, const Codes& codes, const Rows& queries)
    : scoring_(scoring), codes_(codes), queries_(scoring, queries) {
    for (size_t i = 0; i < queries_.size(); ++i) terms_.push_back(terms_of(queries_.norm2(i)));
    pack();
    tile_rows_ = tile_rows_for(scoring_.tiles.wide, scoring_.dim);
}

TileBatch::Terms TileBatch::terms_of(float norm2) const {
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
        panels_.push_back({&tile == &tiles.narrow ? &scoring_.tiles.narrow : &scoring_.tiles.wide, first,
                           std::min(left, tile.lanes), nullptr});
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
    TileScan(const TileBatch& batch, const TopK& empty)
        : b_(batch),
          scorer_(batch.scoring_, batch.codes_),
          lists_(batch.queries_.size(), Shortlist(empty)),
          hits_(2 * simd::kMinHits),
          rows_(batch.tile_rows_),
          pointers_(batch.tile_rows_),
          mul_(batch.tile_rows_),
          add_(batch.tile_rows_) {}

    void scan(RowRange range, const Bitset* allowed) override {
        const bool in_place = b_.scoring_.in_place && allowed == nullptr;
        for (uint32_t row = range.first; row < range.last;) {
            n_ = 0;
            if (in_place) {
                first_ = b_.codes_.code(row);
                const size_t n = std::min<size_t>({b_.tile_rows_, range.last - row, b_.codes_.run(row)});
                for (; n_ < n; ++n_) rows_[n_] = row++;
            } else {
                for (; row < range.last && n_ < b_.tile_rows_; ++row)
                    if (allowed == nullptr || allowed->test(row)) rows_[n_++] = row;
            }
            if (n_ > 0) score_tile(in_place);
        }
    }

    TopK& result(size_t query) override {
        return lists_[query].finish([&](const uint32_t* rows, size_t n, float* out) { exact(query, rows, n, out); });
    }

  private:
    void exact(size_t query, const uint32_t* rows, size_t n, float* out) {
        scorer_.query(b_.queries_.row(query), b_.queries_.norm2(query));
        scorer_.gather(rows, n, out);
    }

    void score_tile(bool in_place) {
        describe_rows();
        const simd::Tile* packed_for = nullptr;
        for (const TileBatch::Panel& panel : b_.panels_) {
            if (!in_place && packed_for != panel.tile) pack_rows(*panel.tile), packed_for = panel.tile;
            score_panel(panel, in_place);
        }
    }

    void pack_rows(const simd::Tile& tile) {
        const size_t bytes = tile.rows_bytes(b_.scoring_.dim, n_);
        if (bytes > packed_bytes_) {
            packed_bytes_ = std::max(bytes, tile.rows_bytes(b_.scoring_.dim, b_.tile_rows_));
            packed_ = allocate(packed_bytes_);
        }
        for (size_t i = 0; i < n_; ++i) pointers_[i] = b_.codes_.code(rows_[i]);
        tile.pack_rows(pointers_.data(), n_, b_.scoring_.dim, packed_.get());
    }

    void describe_rows() {
        largest_norm_ = 0;
        if (b_.scoring_.metric == Metric::hamming) return;
        const Column& norms = b_.codes_.columns[RowScoring::kNorms];
        float largest = 0;
        for (size_t i = 0; i < n_; ++i) {
            const float norm2 = *norms.at<float>(rows_[i]);
            largest = std::max(largest, norm2);
            mul_[i] = is_l2(b_.scoring_.metric) ? -2.0f : b_.scoring_.cosine() ? -inverse_norm(norm2) : -1.0f;
            add_[i] = is_l2(b_.scoring_.metric) ? norm2 : 0.0f;
        }
        largest_norm_ = std::sqrt(largest);
    }

    // How far what the tile computes can be from the canonical score, before scaling. A sum of d products, in whatever
    // order, is off by at most d * u * |q| |x| (Higham, Accuracy and Stability of Numerical Algorithms, 3.5); twice
    // that for the two sums compared, and some more for norms and the last operations.
    float margin_of(const TileBatch::Terms& query) const {
        if (b_.scoring_.metric == Metric::hamming) return 0;
        constexpr float kUnit = FLT_EPSILON / 2;
        const float relative = 2 * (float(b_.scoring_.dim) + 16) * kUnit;
        if (b_.scoring_.cosine()) return relative * query.norm;
        if (!is_l2(b_.scoring_.metric)) return relative * query.norm * largest_norm_;
        return relative * (query.norm + largest_norm_) * (query.norm + largest_norm_);
    }

    float tile_bound(float bound, const TileBatch::Terms& query, float margin) const {
        if (bound == kInfinity) return kInfinity;
        if (query.scale == 0) return bound >= query.offset ? kInfinity : -kInfinity;  // a query of zeros
        return (bound - query.offset) / query.scale + margin;
    }

    void score_panel(const TileBatch::Panel& panel, bool in_place) {
        float bounds[simd::kMaxLanes], margins[simd::kMaxLanes];
        std::fill(bounds, bounds + panel.tile->lanes, std::numeric_limits<float>::quiet_NaN());
        for (size_t lane = 0; lane < panel.n; ++lane) margins[lane] = margin_of(b_.terms_[panel.first + lane]);
        simd::TileArgs args{panel.data,
                            in_place ? first_ : packed_.get(),
                            in_place ? b_.codes_.code_bytes() : panel.tile->stride(b_.scoring_.dim),
                            b_.scoring_.dim,
                            n_,
                            0,
                            mul_.data(),
                            add_.data(),
                            bounds,
                            hits_.data(),
                            hits_.size()};
        bool moved = true;
        while (args.first < n_) {
            for (size_t lane = 0; moved && lane < panel.n; ++lane)
                bounds[lane] =
                    tile_bound(lists_[panel.first + lane].bound(), b_.terms_[panel.first + lane], margins[lane]);
            const simd::TileResult done = panel.tile->run(args);
            for (size_t i = 0; i < done.hits; ++i) take(panel, hits_[i], margins[hits_[i].lane]);
            moved = done.hits > 0;
            args.first = done.next;
        }
    }

    // The hits of one call come in any order of rows.
    void take(const TileBatch::Panel& panel, const simd::TileHit& hit, float margin) {
        const size_t query = panel.first + hit.lane;
        const TileBatch::Terms& terms = b_.terms_[query];
        const float lower = terms.scale * (hit.score - margin) + terms.offset;
        if (!(lower <= lists_[query].limit())) return;  // it has moved since the kernel looked
        lists_[query].push(lower, 2 * terms.scale * margin, rows_[hit.row],
                           [&](const uint32_t* rows, size_t n, float* out) { exact(query, rows, n, out); });
    }

    const TileBatch& b_;
    RowScorer scorer_;
    std::vector<Shortlist> lists_;
    std::vector<simd::TileHit> hits_;
    // The tile at hand.
    size_t n_ = 0;
    const std::byte* first_ = nullptr;
    float largest_norm_ = 0;
    std::vector<uint32_t> rows_;
    std::vector<const void*> pointers_;
    std::vector<float> mul_, add_;
    Buffer packed_;
    size_t packed_bytes_ = 0;
};

std::unique_ptr<BatchScan> TileBatch::start(const TopK& empty) const {
    return std::make_unique<TileScan>(*this, empty);
}

}  // namespace annkit
