// Random lines cut into stretches of equal length (Datar, Immorlica, Indyk, Mirrokni: Locality-sensitive hashing scheme
// based on p-stable distributions, SoCG 2004, for l2). Neighbouring stretches of several lines are probed by their
// distances (Lv, Josephson, Wang, Charikar, Li: Multi-probe LSH, VLDB 2007, section 4.4).
#pragma once

#include "annkit/index/lsh_family.h"

namespace annkit {

// Keys are sums of each stretch's number times a random odd number, of which the upper bits choose the slot.
class PStableFamily final : public LshFamily {
  public:
    explicit PStableFamily(size_t bits) : bits_(bits) {}
    size_t values() const override { return parts(); }
    size_t parts() const override { return (bits_ + 1) / 2; }  // a line in stretches of its deviation holds two bits
    uint64_t key(const float* y) const override;
    uint64_t steps(const float* y, std::vector<LshStep>& out) const override;
    uint32_t slot(uint64_t key) const override;
    bool one_key_a_slot() const override { return false; }

  private:
    size_t bits_;
};

}  // namespace annkit
