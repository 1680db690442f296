// Queries against codes of RaBitQ: tables of bytes for the signs' tiles, and the rotated query for canonical scores.
#pragma once

#include <vector>

#include "annkit/codec/codec.h"

namespace annkit {

class RaBitQ;

class RabitqQueries final : public TileQueries {
  public:
    RabitqQueries(const RaBitQ& codec, const CodeUse& use, const Rows& queries, const Call& call);

    size_t size() const override { return queries_.size(); }
    const simd::TilePair& tiles() const override { return simd::kernels().nibble_codes; }
    size_t tile_dim() const override { return padded_ / 4; }
    const void* panel_row(size_t query) const override { return &tables_[query * 4 * padded_]; }
    LaneTerms terms(size_t query, const Partition& partition, float coarse) const override;
    TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const override;
    bool scores_at_once() const override { return true; }
    bool estimates_well() const override { return bits_ == 1; }
    void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
               float* out) const override;

  private:
    struct Query {
        float own;                   // what coarse would be, were the mean the centroid
        float distance, norm2;       // from the mean; its own
        float step, offset, margin;  // <u, q> of the signs = step * dot + offset, give or take margin
    };
    void prepare(const RaBitQ& codec, const float* x, size_t i);
    void make_table(const float* q, uint8_t* table, Query& query) const;
    float distance(size_t query, const Partition& partition, float coarse) const;
    float weight() const { return ip_ ? 1.0f : 2.0f; }

    size_t bits_, dim_, padded_, planes_at_;
    bool ip_, residual_;
    std::vector<float> rotated_;  // P (q - m)
    std::vector<uint8_t> tables_;
    std::vector<Query> queries_;
};

}  // namespace annkit
