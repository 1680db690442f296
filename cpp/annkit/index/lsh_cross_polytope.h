// Cross-polytopes: the nearest of the corners +-e_i to a rotated row (Andoni, Indyk, Laarhoven, Razenshteyn, Schmidt:
// Practical and optimal LSH for angular distance, NIPS 2015, with the multi-probing of its section 5).
#pragma once

#include "annkit/index/lsh_family.h"

namespace annkit {

// Several polytopes share the bits of a key; each has a power of two of dimensions, and no more than rows have.
class CrossPolytopeFamily final : public LshFamily {
  public:
    CrossPolytopeFamily(size_t bits, size_t dim);
    size_t values() const override { return values_; }
    size_t parts() const override { return bits_of_.size(); }
    uint64_t key(const float* y) const override;
    uint64_t steps(const float* y, std::vector<LshStep>& out) const override;
    uint32_t slot(uint64_t key) const override { return uint32_t(key); }
    bool one_key_a_slot() const override { return true; }

  private:
    std::vector<size_t> bits_of_;
    size_t values_ = 0;
};

}  // namespace annkit
