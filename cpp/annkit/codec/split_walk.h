// Walks through a graph over float32 rows in halves (simd::kSplit): the upper ones, rounded to bfloat16, give
// estimates, so that a distance fetches half of the bytes. Of rows so near the query that rounding might tell, scores
// are exact.
#pragma once

#include <optional>
#include <vector>

#include "annkit/codec/row_scoring.h"
#include "annkit/codec/walk_scorer.h"

namespace annkit {

class SplitWalk final : public WalkScorer {
  public:
    SplitWalk(const RowScoring& scoring, const Codes& codes);  // the metric is l2, or ip of rows of length one
    void query(const Rows& one) override;
    void query_row(uint32_t row) override;
    void score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const override;
    bool canonical() const override { return false; }
    std::span<const WalkColumn> columns() const override { return columns_; }

  private:
    void take(const void* query, float norm2);

    RowScoring scoring_;
    const Codes& codes_;
    std::vector<WalkColumn> columns_;
    std::optional<PreparedQueries> own_;
    std::vector<float> row_;
    const void* query_ = nullptr;
    float norm2_ = 0;  // of the query
};

}  // namespace annkit
