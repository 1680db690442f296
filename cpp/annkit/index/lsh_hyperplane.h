// Hyperplanes: a bit for the side of each that a row lies on (Charikar: Similarity estimation techniques from rounding
// algorithms, STOC 2002). Other buckets come in the order of the distances to the hyperplanes between.
#pragma once

#include "annkit/index/lsh_family.h"

namespace annkit {

class HyperplaneFamily final : public LshFamily {
  public:
    explicit HyperplaneFamily(size_t bits) : bits_(bits) {}
    size_t values() const override { return bits_; }
    size_t parts() const override { return bits_; }
    uint64_t key(const float* y) const override;
    uint64_t steps(const float* y, std::vector<LshStep>& out) const override;
    uint32_t slot(uint64_t key) const override { return uint32_t(key); }
    bool one_key_a_slot() const override { return true; }

  private:
    size_t bits_;
};

}  // namespace annkit
