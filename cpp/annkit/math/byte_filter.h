// Filters centroids in bytes, where those multiply several times faster than floats. Rows and centroids are
// rounded to 8 bits around the centroids' middle; by Cauchy and Schwarz, |x.c - x'.c'| <= |x| |c - c'| + |x - x'| |c'|.
// That gives each block of centroids a lower bound of its scores, and what no bound excludes is scored in floats by
// whoever asks (Nearest, ListFinder): answers are the same as without the filter. Dimensions that are far wider than
// the others are not rounded, but multiplied in floats.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/function_ref.h"
#include "annkit/core/memory.h"
#include "annkit/core/rows.h"
#include "annkit/simd/kernels.h"

namespace annkit {

class ByteFilter {
  public:
    static bool can(size_t dim);
    ByteFilter(std::span<const float> centroids, size_t dim, bool ip);

    // So many rows are best done at once: then enough of them share the blocks that are left to score. Of many
    // centroids there are too many blocks for that, and a row takes longer.
    size_t step() const { return k_ < 8192 ? 1024 : 256; }
    size_t nbytes() const;
    // Scores in floats, |c|^2 - 2 x.c or -x.c.
    struct Scoring {
        // Scores kBlock centroids from block * kBlock on, fewer at the end, for these rows; blocks rise.
        FunctionRef<void(size_t block, std::span<const uint32_t> rows)> score;
        // After the first blocks: as many of the row's scores as are wanted are no larger.
        FunctionRef<float(size_t row)> limit;
    };
    static constexpr size_t kBlock = simd::kMinimaRows;
    // Has each row's `count` nearest centroids scored, and others of their blocks: first the `count` blocks of lowest
    // bounds, then those that have rows within the limit. False where bounds exclude so little that floats alone are
    // faster: then not all are scored that should be.
    bool find(const FloatBlock& rows, size_t count, const Scoring& scoring) const;

  private:
    class Search;
    float factor() const { return ip_ ? -1.0f : -2.0f; }  // of products in scores
    void find_wide(std::span<const float> centroids);
    template <class Take>
    float take_wide(const float* x, float* narrow, Take&& take) const;
    struct Row {
        // Of c - center without its wide dimensions: of its code, what rounding took, and how long that is.
        float scale, error, length;
        float norm2;  // |c - center|^2
    };
    size_t k_, padded_, dim_, stride_;
    bool ip_;
    float longest_ = 0, longest_centered_ = 0;
    std::vector<float> center_;
    std::vector<uint32_t> wide_;  // dimensions
    std::vector<float> wide_of_;  // those of c - center, times factor(): padded_ of the first, then of the next
    std::vector<Row> rows_;
    Buffer packed_;
};

}  // namespace annkit
