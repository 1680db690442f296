#include "annkit/core/score_bound.h"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Floats in the order of integers.
int32_t ordered(float x) {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? bits ^ INT32_MAX : bits;
}
float of_ordered(int32_t x) { return std::bit_cast<float>(x < 0 ? x ^ INT32_MAX : x); }

}  // namespace

float bound_with(std::span<const float> scores, size_t least, size_t most) {
    const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
    int64_t below = int64_t(ordered(*low)) - 1, enough = ordered(*high);
    while (enough - below > 1) {
        const auto middle = int32_t((below + enough) >> 1);
        const size_t within = simd::kernels().count(scores.data(), scores.size(), of_ordered(middle));
        (within < least ? below : enough) = middle;
        if (within >= least && within <= most) break;
    }
    return of_ordered(int32_t(enough));
}

}  // namespace annkit
