#include "annkit/index/lsh_cross_polytope.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace annkit {
namespace {

// Larger polytopes need more values for a bit.
constexpr size_t kMostBits = 7;

// The corner nearest to y: twice its axis, and one more where it lies on the negative side.
size_t corner(const float* y, size_t dims) {
    size_t best = 0;
    for (size_t i = 1; i < dims; ++i)
        if (std::abs(y[i]) > std::abs(y[best])) best = i;
    return 2 * best + (y[best] < 0);
}

float along(const float* y, size_t corner) { return corner % 2 == 0 ? y[corner / 2] : -y[corner / 2]; }

}  // namespace

CrossPolytopeFamily::CrossPolytopeFamily(size_t bits, size_t dim) {
    const size_t most = std::min<size_t>(kMostBits, size_t(std::bit_width(dim)));  // 2^(most - 1) <= dim
    const size_t n = (bits + most - 1) / most;
    for (size_t i = 0; i < n; ++i) {
        bits_of_.push_back(bits / n + (i < bits % n));
        values_ += size_t(1) << (bits_of_.back() - 1);
    }
}

uint64_t CrossPolytopeFamily::key(const float* y) const {
    uint64_t key = 0;
    size_t shift = 0;
    for (const size_t bits : bits_of_) {
        const size_t dims = size_t(1) << (bits - 1);
        key |= uint64_t(corner(y, dims)) << shift;
        y += dims, shift += bits;
    }
    return key;
}

uint64_t CrossPolytopeFamily::steps(const float* y, std::vector<LshStep>& out) const {
    out.clear();
    const uint64_t whole = key(y);
    size_t shift = 0;
    for (uint32_t part = 0; part < parts(); ++part) {
        const size_t dims = size_t(1) << (bits_of_[part] - 1), nearest = corner(y, dims);
        const float most = along(y, nearest);
        for (size_t other = 0; other < 2 * dims; ++other) {
            if (other == nearest) continue;
            const float less = most - along(y, other);
            out.push_back({less * less, part, (uint64_t(other) - uint64_t(nearest)) << shift});
        }
        y += dims, shift += bits_of_[part];
    }
    return whole;
}

}  // namespace annkit
