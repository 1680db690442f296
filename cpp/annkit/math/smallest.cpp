#include "annkit/math/smallest.h"

#include <algorithm>
#include <limits>

#include "annkit/core/score_bound.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Keeps n of the numbers: those within the bound, and of those right at it the first.
void keep_within(const float* scores, float bound, size_t n, std::vector<uint32_t>& near, size_t found) {
    size_t ties = n, kept = 0;
    for (size_t i = 0; i < found; ++i) ties -= scores[near[i]] < bound;
    for (size_t i = 0; i < found; ++i) {
        const bool tie = scores[near[i]] == bound;
        if (scores[near[i]] > bound || (tie && ties == 0)) continue;
        ties -= tie;
        near[kept++] = near[i];
    }
}

// The smallest, in lanes that compilers make vectors of.
float least(const float* scores, size_t n) {
    constexpr size_t kLanes = 32;
    float lanes[kLanes];
    std::fill_n(lanes, kLanes, std::numeric_limits<float>::infinity());
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        for (size_t j = 0; j < kLanes; ++j) lanes[j] = scores[i + j] < lanes[j] ? scores[i + j] : lanes[j];
    for (size_t j = 0; i + j < n; ++j) lanes[j] = scores[i + j] < lanes[j] ? scores[i + j] : lanes[j];
    return *std::min_element(lanes, lanes + kLanes);
}

}  // namespace

// The count-th smallest of many minima of disjoint parts bounds the count-th smallest of all: few pass it.
float Smallest::bound(const float* scores, size_t n, size_t count) {
    constexpr size_t kPartsAHit = 4, kStep = 16, kSlack = 8;
    const size_t parts = (count * kPartsAHit + kStep - 1) / kStep * kStep;
    if (2 * parts > n) return bound_with({scores, n}, count, count + count / kSlack);
    minima_.assign(scores, scores + parts);
    for (size_t first = parts; first < n; first += parts)
        for (size_t j = 0; j < std::min(parts, n - first); ++j)
            minima_[j] = scores[first + j] < minima_[j] ? scores[first + j] : minima_[j];
    return bound_with(minima_, count, count + count / kSlack);
}

const uint32_t* Smallest::of(const float* scores, size_t n, size_t count) {
    constexpr size_t kFew = 8;  // for each that is wanted: fewer are counted out at once
    near_.resize(n);
    if (count == 1 && simd::kernels().select(scores, n, least(scores, n), near_.data()) > 0) return near_.data();
    const float bound = n < kFew * count ? std::numeric_limits<float>::infinity() : this->bound(scores, n, count);
    const size_t found = simd::kernels().select(scores, n, bound, near_.data());
    if (found > count) {
        minima_.resize(found);
        for (size_t i = 0; i < found; ++i) minima_[i] = scores[near_[i]];
        keep_within(scores, bound_with(minima_, count, count), count, near_, found);
    }
    const auto nearer = [scores](uint32_t a, uint32_t b) { return scores[a] < scores[b]; };
    std::iter_swap(near_.begin(), std::min_element(near_.begin(), near_.begin() + ptrdiff_t(count), nearer));
    return near_.data();
}

}  // namespace annkit
