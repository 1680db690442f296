// A random sample of rows, in rising order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "annkit/core/random.h"
#include "annkit/core/rows.h"

namespace annkit {

// m numbers below n, rising: one at random from each of m stretches. Those that are longer by one lie among the others
// evenly, so that no part of the rows is drawn from less than another.
inline std::vector<size_t> stratified(size_t n, size_t m, uint64_t seed) {
    Random random(seed);
    std::vector<size_t> out(m);
    const size_t whole = n / m, rest = n % m;
    const Below below_more(whole + 1), below(whole);
    for (size_t i = 0, first = 0, over = 0; i < m; ++i) {
        over += rest;
        const bool more = over >= m;
        if (more) over -= m;
        out[i] = first + (more ? below_more : below)(random);
        first += whole + (more ? 1 : 0);
    }
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
