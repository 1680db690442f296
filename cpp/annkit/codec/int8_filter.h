// A large batch of float queries in bytes: where the machine multiplies bytes several times faster than floats, tiles
// of bytes filter first. Rows and queries are rounded to 8 bits, each with its own error, and a row's score gets a
// lower bound from Cauchy-Schwarz: |q.x - q'.x'| <= |q| |x - x'| + |q - q'| |x'|.
#pragma once

#include <vector>

#include "annkit/codec/row_scoring.h"
#include "annkit/core/memory.h"

namespace annkit {

// score = scale * (mul * dot + add) + offset turns what a tile computes into a score; norm: of the query in dot.
struct QueryTerms {
    float scale, offset, norm;
};

// The queries of one panel, in one scale. norm and error: the largest of the queries and of what rounding took.
struct Int8Panel {
    const simd::Tile* tile;
    Buffer packed;
    float scale = 0, norm = 0, error = 0;
    std::vector<QueryTerms> terms;
};

// Rows as float32, whatever they are stored as.
class FloatRows {
  public:
    FloatRows(const RowScoring& scoring, const Codes& codes);
    const float* row(uint32_t row);  // until the next call

  private:
    simd::Element element_;
    const Codes& codes_;
    std::vector<float> wide_;
};

class Int8Filter {
  public:
    Int8Filter(const RowScoring& scoring, const Codes& codes);
    static bool pays(const RowScoring& scoring, size_t queries);

    const float* center() const { return center_.data(); }
    Int8Panel panel(const simd::Tile& tile, const PreparedQueries& queries, size_t first, size_t n) const;

  private:
    QueryTerms terms_of(float stored_norm2, float centered_norm2) const;

    RowScoring scoring_;
    std::vector<float> center_;
};

// The rows of a tile, rounded and packed.
class Int8Rows {
  public:
    Int8Rows(const RowScoring& scoring, const Codes& codes, size_t most);

    void round(const float* center, const uint32_t* rows, size_t n);
    // mul * dot + add is below the scores of the panel's queries, before scaling, by widths at most.
    void bound(const Int8Panel& panel);
    const std::byte* pack(const simd::Tile& tile);

    float largest_norm() const { return largest_norm_; }  // |x|, as dot has it
    const float* mul() const { return mul_.data(); }
    const float* add() const { return add_.data(); }
    const float* widths() const { return widths_.data(); }

  private:
    struct Row {
        float scale, error, norm2, length;  // length: |x|, rounded up
        float factor;                       // what the metric multiplies dot by, without its sign
    };
    RowScoring scoring_;
    const Codes& codes_;
    size_t n_ = 0;
    float largest_norm_ = 0;
    FloatRows floats_;
    std::vector<int8_t> bytes_;
    std::vector<const void*> pointers_;
    std::vector<Row> rows_;
    std::vector<float> mul_, add_, widths_;
    Buffer packed_;
    size_t packed_bytes_ = 0;
    const simd::Tile* packed_for_ = nullptr;
};

}  // namespace annkit
