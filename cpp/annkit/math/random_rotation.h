// A random rotation that costs n log n: random signs and Walsh-Hadamard transforms in turn, as in the structured
// orthogonal matrices of Ailon and Chazelle (2009) and Yu et al. (2016). Any dimension of at least one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace annkit {

// Exactly orthogonal, up to float rounding. The transform takes a power of two: other dimensions are mixed by
// transforming the first and the last so many values of each round, which overlap.
class RandomRotation {
  public:
    RandomRotation() = default;
    RandomRotation(size_t dim, uint64_t seed);
    size_t dim() const { return dim_; }
    uint64_t seed() const { return seed_; }
    size_t nbytes() const { return signs_.size() * sizeof(float); }

    void apply(float* x) const;   // in place
    void invert(float* x) const;  // in place

  private:
    size_t dim_ = 0, part_ = 0;  // part_: the largest power of two that is not above dim_
    uint64_t seed_ = 0;
    std::vector<float> signs_;  // part_ for each transform, with the scale that keeps lengths
};

}  // namespace annkit
