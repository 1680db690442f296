// Equal codes brought together: groups of rows, numbered in the order of their first rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/core/parallel.h"

namespace annkit {

class DistinctCodes {
  public:
    DistinctCodes(const Codes& codes, int threads, const Call& call);

    size_t size() const { return starts_.size() - 1; }
    // Rising.
    std::span<const uint32_t> rows(size_t group) const {
        return std::span(rows_).subspan(starts_[group], starts_[group + 1] - starts_[group]);
    }
    // Where a group's rows begin among those of all.
    size_t start(size_t group) const { return starts_[group]; }
    Codes codes_of(const Codes& codes) const;  // one a group
    // Of rows that rise, those after a row.
    static std::span<const uint32_t> beyond(std::span<const uint32_t> rows, uint32_t row) {
        if (rows[0] > row) return rows;  // as nearly always
        return rows.subspan(size_t(std::upper_bound(rows.begin(), rows.end(), row) - rows.begin()));
    }

  private:
    std::vector<uint32_t> rows_, starts_;
};

}  // namespace annkit
