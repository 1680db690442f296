// Queries against rows that are stored as they are, floats, bytes or bits, in the lists of IVF. (Flat has its own,
// TileBatch.)
#pragma once

#include <vector>

#include "annkit/codec/row_scoring.h"

namespace annkit {

class RawQueries final : public TileQueries {
  public:
    RawQueries(const RowScoring& scoring, const Rows& queries);

    size_t size() const override { return queries_.size(); }
    const simd::TilePair& tiles() const override { return scoring_.tiles; }
    size_t tile_dim() const override { return scoring_.dim; }
    const void* panel_row(size_t query) const override { return queries_.row(query); }
    LaneTerms terms(size_t query, const Partition& partition, float coarse) const override;
    TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const override;
    void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
               float* out) const override;
    bool bounds_runs() const override { return true; }
    float bound_run(size_t query, const Visit& visit, RowRange range, TileScratch& scratch,
                    float* lower) const override;
    size_t tile_rows() const override;
    bool has_times() const override { return scoring_.cosine(); }
    bool tiles_score() const override { return exact_; }

  private:
    // Products become cosines. position_of(i): where the i-th score's row lies.
    template <class PlaceOf>
    void finish(size_t query, const Codes& codes, PlaceOf&& position_of, size_t n, float* scores) const;

    RowScoring scoring_;
    bool l2_, bits_, exact_;  // exact_: what tiles compute has no rounding that the scores do not have
    PreparedQueries queries_;
    std::vector<float> factors_, nothing_;  // of rows, the same for all
};

}  // namespace annkit
