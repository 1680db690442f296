// Queries against codes of SQ: the query times the steps, in 8 bits, meets the codes in integers.
#pragma once

#include <vector>

#include "annkit/codec/scalar.h"

namespace annkit {

class ScalarQueries final : public TileQueries {
  public:
    ScalarQueries(const Scalar& codec, const CodeUse& use, const Rows& queries, const Call& call);

    size_t size() const override { return rounded_.size(); }
    const simd::TilePair& tiles() const override { return simd::kernels().byte_codes; }
    size_t tile_dim() const override { return codec_.low_.size(); }
    const void* panel_row(size_t query) const override { return &codes_[query * codes_apart_]; }
    LaneTerms terms(size_t query, const Partition& partition, float coarse) const override;
    TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const override;
    void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
               float* out) const override;
    std::span<const uint32_t> heavy() const override { return heavy_; }
    const float* heavy_weights(size_t query) const override { return &heavy_weights_[query * heavy_.size()]; }
    bool bounds_runs() const override { return codec_.bits_ == 8; }
    float bound_run(size_t query, const Visit& visit, RowRange range, TileScratch& scratch,
                    float* lower) const override;

  private:
    struct Query {
        float scale, offset, error;  // as in LaneTerms, before the metric's factor
        float low;                   // its product with the lowest values
        float norm2, norm;           // of the query, from center where the codes are of rows
    };
    struct Margin {
        float least, by_reach;  // what is added for each unit of a row's reach
    };
    Query round(const float* query, size_t at, float* scratch);
    Margin margin(size_t query, const Partition& partition, float coarse) const;

    const Scalar& codec_;
    bool l2_, residual_;
    std::vector<Query> rounded_;
    std::span<const uint32_t> heavy_;     // dimensions
    std::vector<float> weights_, zeros_;  // the queries times the steps
    std::vector<float> heavy_weights_;    // of those
    size_t codes_apart_;
    std::vector<int8_t> codes_;             // the others rounded, zeros up to a multiple of 64
    std::vector<float> factors_, nothing_;  // of as many rows as a tile takes
    float largest_norm_;                    // that a decoded row, from center, or residual can have
    float middle_norm_;                     // of the row of mean codes, likewise
    float largest_step_ = 0;
    float decoding_error_;  // by which decoded rows are off, where they are not residuals
};

}  // namespace annkit
