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

// Queries of one panel, x ~ scale * code; norm and error: the largest of the queries and of what rounding took.
struct Int8Panel {
    std::vector<int8_t> codes;
    Buffer packed;
    float scale = 0, norm = 0, error = 0;
    std::vector<QueryTerms> terms;

    Int8Panel(const RowScoring& scoring, const simd::Tile& tile, const PreparedQueries& queries, size_t first,
              size_t n);
    static bool pays(const RowScoring& scoring, size_t queries);
};

// The rows of a tile, rounded and packed.
class Int8Rows {
  public:
    explicit Int8Rows(size_t most) : codes_of_(most), rows_(most), mul_(most), add_(most), widths_(most) {}

    void quantize(const RowScoring& scoring, const Codes& codes, const uint32_t* rows, size_t n);
    // mul * dot + add is below what the panel's queries have with the row, by widths at most.
    void bound(const RowScoring& scoring, const Int8Panel& panel);

    const std::byte* pack(const simd::Tile& tile, size_t dim);
    const float* mul() const { return mul_.data(); }
    const float* add() const { return add_.data(); }
    const float* widths() const { return widths_.data(); }

  private:
    struct Row {
        float scale, error, norm2;
    };
    size_t n_ = 0;
    std::vector<int8_t> bytes_;
    std::vector<float> wide_;  // a row of halves
    std::vector<const void*> codes_of_;
    std::vector<Row> rows_;
    std::vector<float> mul_, add_, widths_;
    Buffer packed_;
    const simd::Tile* packed_for_ = nullptr;
    size_t packed_bytes_ = 0;
};

}  // namespace annkit
