// Each number's place among the others, by comparing every one with every other: no branch depends on them. Plain
// loops, which compilers make vectors of, as wide as the level has them. Bottleneck: a comparison and an addition for
// each pair.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace ranks {

bool rank(const float* numbers, size_t n, uint32_t* ranks) {
    for (size_t i = 0; i < n; ++i) ranks[i] = 0;
    for (size_t j = 0; j < n; ++j)
        for (size_t i = 0; i < n; ++i) ranks[i] += numbers[j] < numbers[i] ? 1 : 0;
    size_t sum = 0;
    for (size_t i = 0; i < n; ++i) sum += ranks[i];
    return sum * 2 == n * (n - 1);
}

}  // namespace ranks
}  // namespace
}  // namespace annkit::simd
