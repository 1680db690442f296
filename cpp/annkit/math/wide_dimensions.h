// Dimensions that outweigh the others: rounded together with them, they would leave little of these.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace annkit {

// Those, in rising order, that are more than `times` as heavy as the rest in the mean, at most so many; or, of more,
// the heaviest, if that makes such a difference.
std::vector<uint32_t> wide_dimensions(std::span<const double> weights, double times, size_t most);

}  // namespace annkit
