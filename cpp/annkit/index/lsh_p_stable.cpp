#include "annkit/index/lsh_p_stable.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/random.h"

namespace annkit {
namespace {

// Stretches to each side of the query's own. The paper's are long, and one is enough; with ours, near rows lie farther.
constexpr size_t kReach = 4;

// The same in every table and every file.
uint64_t multiplier(size_t part) { return Random(part).next() | 1; }

int64_t stretch(float y) {
    constexpr float kFar = 1e9F;
    return int64_t(std::floor(std::clamp(y, -kFar, kFar)));
}

}  // namespace

uint64_t PStableFamily::key(const float* y) const {
    uint64_t key = 0;
    for (size_t i = 0; i < parts(); ++i) key += uint64_t(stretch(y[i])) * multiplier(i);
    return key;
}

uint64_t PStableFamily::steps(const float* y, std::vector<LshStep>& out) const {
    out.clear();
    for (size_t i = 0; i < parts(); ++i) {
        const float below = y[i] - std::floor(y[i]), above = 1 - below;
        for (size_t far = 0; far < kReach; ++far) {
            const float down = below + float(far), up = above + float(far);
            const uint64_t change = (far + 1) * multiplier(i);
            out.push_back({down * down, uint32_t(i), 0 - change});
            out.push_back({up * up, uint32_t(i), change});
        }
    }
    return key(y);
}

uint32_t PStableFamily::slot(uint64_t key) const {
    key ^= key >> 32;
    return uint32_t(key * 0x9e3779b97f4a7c15U >> (64 - bits_));
}

}  // namespace annkit
