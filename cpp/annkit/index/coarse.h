// Which lists of an IVF a query visits.
#pragma once

#include <cstdint>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

class Coarse {
  public:
    static constexpr uint32_t kNoList = UINT32_MAX;
    virtual ~Coarse() = default;
    // For each query nprobe lists and their scores, |q - c|^2, -q.c or, of bits, how many differ, the nearest first and
    // the others in no order; kNoList where fewer were found. A score depends on the query and the centroid alone.
    virtual void find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const = 0;
};

}  // namespace annkit
