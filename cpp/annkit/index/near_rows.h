// The rows near to those of a group of equal codes, in order; one a thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/index/distinct_codes.h"
#include "annkit/index/neighbour_lists.h"

namespace annkit {

class NearRows {
  public:
    NearRows(const DistinctCodes& distinct, const NeighbourLists& lists) : distinct_(distinct), lists_(lists) {}

    // Those after a row of the group, as row << 16 | distance; until the next call. Cheap for later rows of a group.
    std::span<const uint64_t> after(size_t group, uint32_t row);

  private:
    struct Run {  // of keys in order
        size_t size, at;
    };

    struct Near {
        std::span<const uint32_t> rows;
        uint32_t distance;
    };

    void collect(size_t group, uint32_t row);
    void merge();
    uint64_t* room(size_t n);

    const DistinctCodes& distinct_;
    const NeighbourLists& lists_;
    size_t group_ = SIZE_MAX;
    uint32_t first_ = 0;  // all_ are the rows after this one
    std::span<const uint64_t> all_;
    std::vector<uint64_t> keys_;
    size_t used_ = 0;
    std::vector<Run> runs_;
    std::vector<Near> long_;
};

}  // namespace annkit
