// Queries against codes of PQ: tables of a group's part of the score for each centroid, in float for canonical scores,
// and for codes of 4 or 8 bits in 8 bits, too, as tiles take them. They do not depend on the list, also of residuals:
//     |q - c - r|^2 = |q - c|^2 + (|c + r|^2 - |c|^2) - 2 q.r
#pragma once

#include <span>
#include <vector>

#include "annkit/codec/product.h"

namespace annkit {

class ProductQueries final : public TileQueries {
  public:
    ProductQueries(const Product& codec, const CodeUse& use, const Rows& queries, const Call& call);

    size_t size() const override { return rounded_.size(); }
    const simd::TilePair& tiles() const override;
    size_t tile_dim() const override { return positions_; }
    const void* panel_row(size_t query) const override { return &steps_[query * table_size_]; }
    LaneTerms terms(size_t query, const Partition& partition, float coarse) const override;
    TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const override;
    bool scores_at_once() const override { return true; }
    void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
               float* out) const override;

    static constexpr size_t kMostRows = 4096;  // of a tile

  private:
    struct Query {
        float scale = 0;      // of the entries in 8 bits
        float low = 0;        // the sum of each group's least entry, which the others are taken from
        float width = 0;      // what rounding and clipping can take
        float magnitude = 0;  // of what is added up, for the margin of rounding
    };
    const float* table(size_t query) const { return &tables_[query * table_size_]; }
    Query round(std::span<const float> table, float norm, uint8_t* steps) const;

    const Product& codec_;
    bool l2_, residual_;
    size_t positions_;   // m; for codes of 4 bits made even
    size_t table_size_;  // floats
    float reach_;        // the largest norm of what a code stands for
    std::vector<float> tables_;
    std::vector<Query> rounded_;
    std::vector<float> ones_;     // mul of as many rows as a tile takes
    std::vector<uint8_t> steps_;  // the tables in 8 bits
};

}  // namespace annkit
