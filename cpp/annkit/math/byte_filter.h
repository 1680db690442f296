// Filters centroids for Nearest in bytes, where those multiply several times faster than floats. Rows and centroids are
// rounded to 8 bits around the centroids' mean; by Cauchy and Schwarz, |x.c - x'.c'| <= |x| |c - c'| + |x - x'| |c'|.
// That gives each block of centroids a lower bound of its scores, and what no bound excludes is scored in floats:
// answers are the same as without the filter.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/rows.h"
#include "annkit/simd/kernels.h"

namespace annkit {

// Centroids as Nearest keeps them for the float kernels.
struct FloatCentroids {
    const std::byte* rows;  // -2 c or -c, stride bytes apart
    size_t stride;
    const float* add;
    size_t n;
};

class ByteFilter {
  public:
    static bool pays(size_t k, size_t dim);
    ByteFilter(std::span<const float> centroids, size_t dim, bool ip);

    // So many rows are best done at once: then enough of them share the blocks that are left to score. Of many
    // centroids there are too many blocks for that, and a row takes longer.
    size_t step() const { return k_ < 8192 ? 1024 : 256; }
    size_t nbytes() const;
    // The nearest centroid of each row. False, and nothing is written, where bounds exclude
    // so little that floats alone are faster.
    bool find(const FloatBlock& rows, const FloatCentroids& floats, uint32_t* nearest) const;

  private:
    class Search;
    struct Row {
        float scale, error, length;  // of c - center: of its code, what rounding took, and |c - center|
    };
    size_t k_, padded_, dim_, stride_;
    bool ip_;
    float longest_ = 0, longest_centered_ = 0;
    std::vector<float> centroids_, center_;
    std::vector<Row> rows_;
    Buffer packed_;
};

}  // namespace annkit
