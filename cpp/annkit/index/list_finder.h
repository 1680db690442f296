// Which lists a query visits: the nearest centroids, by a product of matrices and a selection.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"
#include "annkit/math/product.h"

namespace annkit {

class ListFinder {
  public:
    // By |q - c|^2, or by -q.c.
    ListFinder(std::span<const float> centroids, size_t dim, bool ip);

    // For each query nprobe lists and their scores, the nearest first and the others in no order; of equal ones the
    // lower numbers. A score depends on the query and the centroid alone.
    void find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const;
    size_t nbytes() const;

  private:
    void choose(const float* scores, size_t nprobe, float norm2, uint32_t* lists, float* out,
                std::vector<float>& minima, std::vector<uint32_t>& near) const;

    size_t n_, dim_;
    bool ip_;
    PackedMatrix matrix_;       // -2 c, or -c
    std::vector<float> norms_;  // |c|^2, or nothing
};

}  // namespace annkit
