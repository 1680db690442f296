// What tiles of byte codes of every width share: the rows' sides, fetching ahead, and writing all scores.
#pragma once

#include "annkit/simd/kernels.h"
#include "annkit/simd/prefetch.h"

namespace annkit::simd {
namespace {
namespace byte_codes {

// What rows contribute to scores; null: nothing.
struct Sides {
    const float *mul, *add, *err;
};

// Whether all rows of a block exist, for functions that are told by a type.
template <bool kWhole>
struct Whole {
    static constexpr bool kValue = kWhole;
};

// The sides of kRows rows of which only the first n exist; the others get NaN for a score and are not reported.
template <size_t kRows>
struct LastSides {
    float mul[kRows], add[kRows], err[kRows];
    LastSides(const TileArgs& a, size_t row, size_t n) {
        for (size_t r = 0; r < kRows; ++r) {
            mul[r] = r < n ? a.mul[row + r] : 0;
            add[r] = r < n ? a.add[row + r] : __builtin_nanf("");
            err[r] = r < n && a.err != nullptr ? a.err[row + r] : 0;
        }
    }
};

// Asks for n rows that are kFetchAhead bytes behind this one, as far as there are any.
void fetch_ahead(const TileArgs& a, size_t row, size_t n) {
    const auto* rows = static_cast<const uint8_t*>(a.rows);
    const uint8_t *next = rows + row * a.stride + kFetchAhead, *end = rows + a.n * a.stride;
    for (size_t i = 0; i < n * a.stride && next + i < end; i += 64) prefetch(next + i);
}

// Single: up to four queries, each in a register along its elements, so that no lane goes to waste.
// Panel: how many queries, then these, one after the other, zeros up to a multiple of kWidth. Of three there are four.
inline constexpr size_t kFewLanes = 4;
inline constexpr size_t kHeader = 64;

template <size_t kWidth>
size_t padded(size_t dim) {
    return (dim + kWidth - 1) / kWidth * kWidth;
}

template <size_t kWidth>
size_t few_panel_bytes(size_t dim) {
    return kHeader + kFewLanes * padded<kWidth>(dim);
}

template <size_t kWidth>
void pack_few(const void* const* queries, size_t n, size_t dim, void* panel) {
    const uint64_t count = n;
    __builtin_memcpy(panel, &count, sizeof count);
    auto* to = static_cast<uint8_t*>(panel) + kHeader;
    const size_t lanes = n <= 2 ? n : kFewLanes, width = padded<kWidth>(dim);
    for (size_t lane = 0; lane < lanes; ++lane, to += width) {
        const size_t known = lane < n ? dim : 0;
        if (known > 0) __builtin_memcpy(to, queries[lane], known);
        __builtin_memset(to + known, 0, width - known);
    }
}

// Writes the scores of all lanes, as few_dots has them, of up to kWidth / kQueries rows.
template <size_t kQueries, size_t kWidth>
void store_lanes(const TileArgs& a, size_t row, const float (&all)[kWidth]) {
    constexpr size_t kRows = kWidth / kQueries;
    for (size_t lane = 0; lane < kQueries; ++lane) {
        float* to = a.scores + lane * a.n + row;
        if (row + kRows <= a.n)
            __builtin_memcpy(to, all + lane * kRows, kRows * sizeof(float));
        else
            __builtin_memcpy(to, all + lane * kRows, (a.n - row) * sizeof(float));
    }
}

}  // namespace byte_codes
}  // namespace
}  // namespace annkit::simd
