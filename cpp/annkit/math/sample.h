// A random sample of rows, in rising order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "annkit/core/random.h"
#include "annkit/core/rows.h"

namespace annkit {

// m numbers below n, rising: one at random from each of m stretches of equal length.
inline std::vector<size_t> stratified(size_t n, size_t m, uint64_t seed) {
    Random random(seed);
    std::vector<size_t> out(m);
    const size_t whole = n / m, rest = n % m;
    const Below below_more(whole + 1), below(whole);
    for (size_t i = 0; i < m; ++i) out[i] = i * whole + std::min(i, rest) + (i < rest ? below_more : below)(random);
    return out;
}

// min(n, most) distinct numbers below n.
inline std::vector<size_t> sample_of(size_t n, size_t most, uint64_t seed) {
    if (n > most) return stratified(n, most, seed);
    std::vector<size_t> all(n);
    std::iota(all.begin(), all.end(), size_t(0));
    return all;
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
