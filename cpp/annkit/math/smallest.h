// The smallest of many scores, for each of many queries: by counting and selecting, without sorting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace annkit {

// One a thread: it owns its scratch.
class Smallest {
  public:
    // The numbers of the count smallest scores, 1 <= count <= n, a smallest one first and the others in no order; of
    // equal scores the lower numbers. They live until the next call.
    const uint32_t* of(const float* scores, size_t n, size_t count);
    // A score that `count` of n are within, and hardly more.
    float bound(const float* scores, size_t n, size_t count);

  private:
    std::vector<float> minima_;
    std::vector<uint32_t> near_;
};

}  // namespace annkit
