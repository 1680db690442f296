// 16-bit numbers chosen by a bound, in plain C++. Bottleneck: loads.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace numbers16 {

size_t select(const uint16_t* numbers, size_t n, uint16_t least, uint16_t most, uint32_t* out) {
    size_t found = 0;
    for (size_t i = 0; i < n; ++i)
        if (numbers[i] >= least && numbers[i] <= most) out[found++] = uint32_t(i);
    return found;
}

size_t count(const uint16_t* numbers, size_t n, uint32_t bound) {
    size_t found = 0;
    for (size_t i = 0; i < n; ++i) found += numbers[i] <= bound;
    return found;
}

// All numbers are the parts here. From the highest bit down.
uint16_t bound(const uint16_t* numbers, size_t n, size_t k) {
    uint32_t most = 0;
    for (uint32_t bit = 1u << 15; bit != 0; bit >>= 1)
        if (count(numbers, n, most + bit - 1) < k) most += bit;
    return uint16_t(most);
}

}  // namespace numbers16

void fill_numbers16(Kernels& k) {
    k.select16 = numbers16::select;
    k.bound16 = numbers16::bound;
}

}  // namespace
}  // namespace annkit::simd
