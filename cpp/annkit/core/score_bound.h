// Bounds of scores by how many are within them: found by counting, without sorting.
#pragma once

#include <cstddef>
#include <span>

namespace annkit {

// A bound that at least `least` and at most `most` of the scores are within; where there is none (scores are equal),
// the smallest one that has enough within. By bisection: a count is a few instructions.
float bound_with(std::span<const float> scores, size_t least, size_t most);

}  // namespace annkit
