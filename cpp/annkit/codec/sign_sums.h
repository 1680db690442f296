// Half the sums of four numbers with signs: the tables of codes that keep the signs of dimensions (SignBits, RaBitQ).
#pragma once

#include <cstddef>

namespace annkit {

inline constexpr size_t kSignGroup = 4, kSignEntries = 16;  // dimensions, and the signs that they can have

// Entry c of sums adds q[j] where bit j of c is set, and subtracts it elsewhere.
inline void sign_sums(const float* q, float* sums) {
    for (size_t code = 0; code < kSignEntries; ++code) {
        const auto signed_entry = [&](size_t j) { return code >> j & 1 ? q[j] : -q[j]; };
        sums[code] = 0.5f * ((signed_entry(0) + signed_entry(1)) + (signed_entry(2) + signed_entry(3)));
    }
}

}  // namespace annkit
