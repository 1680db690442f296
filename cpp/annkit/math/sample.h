// A random sample of rows, in rising order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "annkit/core/random.h"
#include "annkit/core/rows.h"

namespace annkit {

// min(n, most) distinct numbers below n: selection sampling (Knuth, The Art of Computer Programming, 3.4.2 S).
inline std::vector<size_t> sample_of(size_t n, size_t most, uint64_t seed) {
    std::vector<size_t> chosen(std::min(n, most));
    if (n <= most) {
        std::iota(chosen.begin(), chosen.end(), size_t(0));
        return chosen;
    }
    Random random(seed);
    for (size_t i = 0, taken = 0; taken < most; ++i) {
        chosen[taken] = i;  // no branch: nobody could foretell it
        taken += random.uniform() * double(n - i) < double(most - taken);
    }
    return chosen;
}

// Copies those rows as floats, side by side. ValueError names the first that is not finite.
inline void gather_rows(const Rows& rows, const size_t* chosen, size_t count, float* out) {
    for (size_t i = 0; i < count;) {
        size_t run = 1;  // rows that follow each other are converted at once
        while (i + run < count && run < 64 && chosen[i + run] == chosen[i] + run) ++run;
        const FloatBlock block(rows.slice(chosen[i], run), "the array");
        for (size_t r = 0; r < run; ++r) std::copy_n(block.row(r), rows.dim, out + (i + r) * rows.dim);
        i += run;
    }
}

}  // namespace annkit
