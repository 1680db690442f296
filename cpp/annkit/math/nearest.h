// The nearest centroid of every row.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"
#include "annkit/math/byte_filter.h"

namespace annkit {

// Centroids made ready to find the nearest one of many rows: by l2, or by the largest inner product.
class Nearest {
  public:
    // penalty: one a centroid or none, added to its scores. center: what find takes from rows and centroids first (l2),
    // or nothing.
    Nearest(std::span<const float> centroids, size_t dim, bool ip = false, std::span<const float> penalty = {},
            std::span<const float> center = {});
    size_t size() const { return add_.size(); }
    size_t dim() const { return dim_; }
    size_t nbytes() const;
    // The nearest centroid of each row and, unless null, its score: |x - c|^2 or -x.c. The same whatever the number of
    // rows and threads. Centroids are compared by |c|^2 - 2 x.c or -x.c, summed in float32 in the order of the
    // dimensions; the lowest number among equals.
    void find(const Rows& rows, uint32_t* nearest, float* scores, const Call& call) const;

    // The same for a few rows of floats, apart floats from one to the next, on the calling thread. Rows are less the
    // center.
    static constexpr size_t kBlock = 256;
    void find_block(const float* rows, size_t apart, size_t n, uint32_t* nearest) const;

  private:
    bool find_filtered(const FloatBlock& rows, uint32_t* nearest) const;
    const float* centroid(size_t i) const { return &centroids_[i * dim_]; }

    std::vector<float> center_, centroids_, add_;
    Buffer rows_;  // -2 c or -c, as the kernels read them
    size_t dim_, stride_;
    bool ip_;
    std::optional<ByteFilter> filter_;
};

}  // namespace annkit
