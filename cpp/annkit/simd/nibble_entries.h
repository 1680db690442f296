// Sums of the entries that rows' nibbles name, in plain C++. Bottleneck: one look-up at a time.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace nibble_entries {

float sum_of(const float* table, size_t m, const uint8_t* block, size_t row) {
    const unsigned shift = row < 16 ? 0 : 4;
    const uint8_t* at = block + row % 16;
    const auto entry = [&](size_t p) { return table[p * 16 + (at[p * 16] >> shift & 15)]; };
    float a = 0, b = 0, c = 0, d = 0;
    size_t p = 0;
    for (; p + 4 <= m; p += 4) a += entry(p), b += entry(p + 1), c += entry(p + 2), d += entry(p + 3);
    float total = (a + b) + (c + d);
    for (; p < m; ++p) total += entry(p);
    return total;
}

}  // namespace nibble_entries
}  // namespace
}  // namespace annkit::simd
