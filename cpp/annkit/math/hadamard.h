// The fast Walsh-Hadamard transform: a rotation in n log n additions.
#pragma once

#include <span>

namespace annkit {

// In place, scaled to keep lengths; its own inverse. The size is a power of two.
void hadamard(std::span<float> x);

}  // namespace annkit
