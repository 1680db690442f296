// Scoring of rows that are stored as they are (floats, bytes, bits): which kernels, and the queries made ready for
// them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/simd/kernels.h"

namespace annkit {

// All that the scorers need to know of a codec and a metric.
struct RowScoring {
    Metric metric;
    simd::ScoreRows score;         // canonical
    simd::ScanRows scan;           // the same of rows that lie side by side
    simd::ScoreRows ip = nullptr;  // of the query with itself: its norm; null for bits
    simd::TilePair tiles;
    simd::Element element = simd::kElements;  // of the rows; none for bits
    size_t dim;                               // elements, as the kernels count them (bytes of bits)
    bool float_queries;
    bool in_place;  // the tile takes stored rows as they lie
    // Makes codes of queries, dim bytes each, where rows are compared as codes; else they are bytes already.
    std::function<void(const Rows& queries, uint8_t* codes)> encode = {};

    bool cosine() const { return metric == Metric::cosine; }
    static constexpr size_t kNorms = 1;  // the side column with each row's squared norm, unless bits
};

// A stored row of a float element as float32: as it lies, or else at `wide`, which has room for dim of them.
const float* floats_of(simd::Element element, const void* code, size_t dim, float* wide);

class PreparedQueries {
  public:
    PreparedQueries(const RowScoring& scoring, const Rows& queries);
    size_t size() const { return n_; }
    const void* row(size_t i) const { return floats_ ? static_cast<const void*>(floats_->row(i)) : &bytes_[i * dim_]; }
    float norm2(size_t i) const { return floats_ ? floats_->norm2(i) : norms_.empty() ? 0.0f : norms_[i]; }

  private:
    std::optional<FloatBlock> floats_;
    std::vector<uint8_t> bytes_;
    std::vector<float> norms_;  // of bytes that have any
    size_t n_, dim_;
};

class RowScorer final : public Scorer {
  public:
    RowScorer(const RowScoring& scoring, const Codes& codes) : scoring_(scoring), codes_(codes) {}
    void query(const Rows& one) override;
    void query(const void* prepared, float norm2);
    void gather(const uint32_t* rows, size_t n, float* out) const override;
    void gather_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const;  // known already
    // Of rows in halves, the upper ones tell which are certainly others.
    void gather_nearest(size_t k, float bound, const uint32_t* rows, size_t n, float* out) const override;
    void scan(RowRange range, const Bitset* allowed, TopK& top) const override;

  private:
    struct Upper;
    void scan_allowed(RowRange range, const Bitset& allowed, TopK& top) const;
    // row_of(i): the row that the i-th score belongs to.
    template <class RowOf>
    void finish(RowOf&& row_of, size_t n, float* scores) const;
    template <class RowOf>
    void push_within(RowOf&& row_of, const float* scores, size_t n, TopK& top) const;

    RowScoring scoring_;
    const Codes& codes_;
    std::optional<PreparedQueries> own_;
    const void* query_ = nullptr;
    float norm2_ = 0, inverse_norm_ = 0;
};

}  // namespace annkit
