#include "annkit/index/lsh_hyperplane.h"

namespace annkit {

uint64_t HyperplaneFamily::key(const float* y) const {
    uint64_t key = 0;
    for (size_t i = 0; i < bits_; ++i) key |= uint64_t(y[i] > 0) << i;
    return key;
}

uint64_t HyperplaneFamily::steps(const float* y, std::vector<LshStep>& out) const {
    out.clear();
    for (size_t i = 0; i < bits_; ++i) {
        const uint64_t bit = uint64_t(1) << i;
        out.push_back({y[i] * y[i], uint32_t(i), y[i] > 0 ? 0 - bit : bit});
    }
    return key(y);
}

}  // namespace annkit
