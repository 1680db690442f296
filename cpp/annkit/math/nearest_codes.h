// Packed codes made ready to find the nearest ones of each query, by Hamming distance.
#pragma once

#include <cstdint>
#include <vector>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

class NearestCodes {
  public:
    NearestCodes(std::vector<uint8_t> codes, size_t bytes) : codes_(std::move(codes)), bytes_(bytes) {}
    size_t size() const { return codes_.size() / bytes_; }
    size_t bytes() const { return bytes_; }
    const std::vector<uint8_t>& codes() const { return codes_; }
    uint8_t* code(size_t i) { return &codes_[i * bytes_]; }
    Rows rows() const;

    // For each query the numbers of count codes and, unless null, their distances: a nearest one first and the others
    // in no order; of equal distances the lower numbers. Queries are bits.
    void find(const Rows& queries, size_t count, const Call& call, uint32_t* numbers, float* distances) const;

  private:
    std::vector<uint8_t> codes_;
    size_t bytes_;  // of a code
};

}  // namespace annkit
