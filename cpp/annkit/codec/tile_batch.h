// Batches by tiles: a tile of rows in cache meets panels of queries in registers. Tiles only filter, with an error
// margin; the canonical scores of what is left decide. Tiles of bytes may filter for those of floats.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "annkit/codec/int8_filter.h"
#include "annkit/codec/row_scoring.h"
#include "annkit/core/memory.h"

namespace annkit {

class TileBatch final : public BatchScorer {
  public:
    TileBatch(const RowScoring& scoring, const Codes& codes, const Rows& queries, int threads);
    std::unique_ptr<BatchScan> start(const TopK& empty, int thread) const override;
    size_t step() const override { return tile_rows_; }

  private:
    friend class TileScan;
    struct Panel {
        const simd::Tile* tile;
        size_t first, n;  // queries
        const std::byte* data;
        std::optional<Int8Panel> int8;
    };
    QueryTerms terms_of(float norm2) const;
    void pack();

    RowScoring scoring_;
    const Codes& codes_;
    PreparedQueries queries_;
    std::vector<QueryTerms> terms_;
    std::vector<Panel> panels_;
    Buffer packed_;
    size_t tile_rows_;
    // What the threads tell each other: of each query a score that k of a thread's rows do not exceed, and one that a
    // share of k does not exceed. A thread's lie side by side, so that no two threads write to one cache line.
    size_t threads_;
    mutable std::vector<std::atomic<float>> limits_, shares_;
    std::optional<Int8Filter> int8_;
};

}  // namespace annkit
