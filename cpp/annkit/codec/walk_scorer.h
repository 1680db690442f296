// The scores that lead a walk through a graph: of one query and rows scattered over the codes, all neighbours of a node
// in one call. They may be estimates, as long as a row's is the same whenever it is asked for: what the walk finds gets
// its canonical scores in the end.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/codec/row_scoring.h"

namespace annkit {

// What a score reads of each row: the first bytes of its entry in a column.
struct WalkColumn {
    const Column* column;
    size_t bytes;
    explicit WalkColumn(const Column& column) : column(&column), bytes(column.row_bytes()) {}
};

// One a thread.
class WalkScorer {
  public:
    virtual ~WalkScorer() = default;
    virtual void query(const Rows& one) = 0;
    virtual void query_row(uint32_t row) = 0;  // a stored row takes the query's place
    // codes: the rows' entries in the first of columns(), if there is one; who has fetched them knows where they lie.
    virtual void score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const = 0;
    void score(const uint32_t* rows, size_t n, float* out) const;
    virtual bool canonical() const = 0;                       // scores are the codec's canonical ones already
    virtual std::span<const WalkColumn> columns() const = 0;  // whoever knows rows beforehand may fetch them
};

// Any codec, by its Scorer.
class CanonicalWalk final : public WalkScorer {
  public:
    CanonicalWalk(const Codec& codec, Metric metric, const Codes& codes, size_t dim);
    void query(const Rows& one) override { scorer_->query(one); }
    void query_row(uint32_t row) override;
    void score_codes(const uint32_t* rows, const void* const*, size_t n, float* out) const override {
        scorer_->gather(rows, n, out);
    }
    bool canonical() const override { return true; }
    std::span<const WalkColumn> columns() const override { return columns_; }

  private:
    const Codec& codec_;
    const Codes& codes_;
    size_t dim_;
    std::unique_ptr<Scorer> scorer_;
    std::vector<std::byte> decoded_;
    std::vector<WalkColumn> columns_;
};

// Rows that are stored as they are: a stored row is a query without further ado, unless it has to be widened.
class RowWalk final : public WalkScorer {
  public:
    RowWalk(const RowScoring& scoring, const Codes& codes);
    void query(const Rows& one) override { scorer_.query(one); }
    void query_row(uint32_t row) override;
    void score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const override {
        scorer_.gather_codes(rows, codes, n, out);
    }
    bool canonical() const override { return true; }
    std::span<const WalkColumn> columns() const override { return columns_; }

  private:
    RowScoring scoring_;
    const Codes& codes_;
    RowScorer scorer_;
    std::vector<float> wide_;
    std::vector<WalkColumn> columns_;
};

}  // namespace annkit
