// Walks through a graph over codes of SQ with 8 or 4 bits: the query times the steps, in 8 bits, meets the codes in
// integers. Estimates: the query's rounding stays below a hundredth of what tells rows apart.
#pragma once

#include <vector>

#include "annkit/codec/scalar.h"
#include "annkit/codec/walk_scorer.h"

namespace annkit {

class ScalarWalk final : public WalkScorer {
  public:
    ScalarWalk(const Scalar& codec, Metric metric, const Codes& codes);
    void query(const Rows& one) override;
    void query_row(uint32_t row) override;
    void score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const override;
    bool canonical() const override { return false; }
    std::span<const WalkColumn> columns() const override { return {&column_, 1}; }

  private:
    void take(const float* query);

    const Scalar& codec_;
    const Codes& codes_;
    bool l2_;
    WalkColumn column_;
    std::span<const uint32_t> heavy_;  // dimensions whose weights are not rounded, and a query's
    std::vector<float> heavy_weights_;
    std::vector<float> center_;  // that queries and lows are taken from; zeros unless l2
    std::vector<float> row_, weights_;
    std::vector<int8_t> rounded_, query_;  // query_: as the kernel takes it
    simd::CodeQuery terms_{};
};

}  // namespace annkit
