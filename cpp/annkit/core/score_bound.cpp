#include "annkit/core/score_bound.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Floats in the order of integers.
int32_t ordered(float x) {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? bits ^ INT32_MAX : bits;
}
float of_ordered(int32_t x) { return std::bit_cast<float>(x < 0 ? x ^ INT32_MAX : x); }

// The smallest and the largest, in lanes that compilers make vectors of.
std::pair<float, float> ends(std::span<const float> scores) {
    constexpr size_t kLanes = 8;
    float low[kLanes], high[kLanes];
    std::fill_n(low, kLanes, scores[0]), std::fill_n(high, kLanes, scores[0]);
    const auto take = [&](float x, size_t lane) {
        low[lane] = x < low[lane] ? x : low[lane];
        high[lane] = x > high[lane] ? x : high[lane];
    };
    size_t i = 0;
    for (; i + kLanes <= scores.size(); i += kLanes)
        for (size_t lane = 0; lane < kLanes; ++lane) take(scores[i + lane], lane);
    for (size_t lane = 0; i + lane < scores.size(); ++lane) take(scores[i + lane], lane);
    return {*std::min_element(low, low + kLanes), *std::max_element(high, high + kLanes)};
}

// A score and how many are within it.
struct Counted {
    int64_t score;
    size_t within;
};

// Between both, where the wanted count would be if scores were spread evenly; the middle where that says nothing.
int32_t between(const Counted& below, const Counted& enough, size_t wanted) {
    const float low = of_ordered(int32_t(below.score)), high = of_ordered(int32_t(enough.score));
    const float share = float(wanted - below.within) / float(enough.within - below.within);
    const float guess = low + (high - low) * share;
    return guess > low && guess < high ? ordered(guess) : int32_t((below.score + enough.score) >> 1);
}

}  // namespace

// Every other step halves what is left, so that no scores take more than twice as many steps as by halving alone.
float bound_with(std::span<const float> scores, size_t least, size_t most) {
    constexpr size_t kGuessFrom = 128;  // of fewer, counts are cheaper than guesses
    const auto [low, high] = ends(scores);
    Counted below{std::max<int64_t>(int64_t(ordered(low)) - 1, INT32_MIN), 0}, enough{ordered(high), scores.size()};
    const bool few = scores.size() < kGuessFrom;
    for (bool halve = few; enough.score - below.score > 1; halve = few || !halve) {
        const int32_t at =
            halve ? int32_t((below.score + enough.score) >> 1) : between(below, enough, (least + most + 1) / 2);
        const size_t within = simd::kernels().count(scores.data(), scores.size(), of_ordered(at));
        (within < least ? below : enough) = {at, within};
        if (within >= least && within <= most) break;
    }
    return of_ordered(int32_t(enough.score));
}

}  // namespace annkit
