// Look-ups of nibbles and their sums, for vectors V of 16-byte lanes that are shuffled each on its own (Andre et al.,
// "Quick ADC"): what nibble_tiles.h and nibble_lone.h share.
// Bottlenecks: the units that shuffle and add. A look-up costs a shuffle and an addition of bytes; and every one, two
// or four look-ups, as many as fit a byte, are widened by three operations more: sums of pairs of bytes as 16-bit
// numbers, and of the upper bytes alone, from which the lower follow.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace nibbles {

inline constexpr size_t kHeader = 64;
inline constexpr size_t kPadding = 4;  // tables of zeros up to a multiple of so many positions
inline constexpr size_t kMaxGroups = 8;

// The start of a panel.
struct Header {
    uint32_t lanes;
    uint8_t sums[kMaxGroups];  // look-ups that fit a byte, for each group of queries: 1, 2 or 4
};

size_t padded(size_t dim) { return (dim + kPadding - 1) / kPadding * kPadding; }

// The largest sums that may lie within the bounds; where none may, zero: scores decide.
void find_thresholds(const TileArgs& a, size_t lanes, uint16_t* out) {
    for (size_t i = 0; i < lanes; ++i) {
        const float bound = a.bounds[i], offset = a.offsets[i];
        const float slack = (__builtin_fabsf(bound) + __builtin_fabsf(offset)) * 0x1p-22f;
        const float most = (bound - offset + slack) / a.scales[i] + 0.0625f;
        out[i] = uint16_t(int32_t(most > 0 ? (most < 65535 ? most : 65535) : 0));
    }
}

template <class V>
struct Vectors {
    using Bytes = typename V::Bytes;
    using Words = typename V::Words;
    using Floats = typename V::Floats;
    static constexpr size_t kWidth = sizeof(Bytes);
    static constexpr size_t kQueries = kWidth / 16;  // one a lane

    static Bytes load(const void* x) {
        Bytes out;
        __builtin_memcpy(&out, x, sizeof out);
        return out;
    }
    static Bytes low(Bytes codes) { return codes & 15; }
    static Bytes high(Bytes codes) { return Bytes(Words(codes) >> 4) & 15; }

    // sum + x, at this place: left to itself, GCC 12 adds four look-ups as a tree, and runs out of registers.
    static Bytes add_next(Bytes sum, Bytes x) {
        sum += x;
        V::pin(sum);
        return sum;
    }

    // How many look-ups in vectors that lie `apart` bytes from each other, always with the same ones, fit a byte.
    static size_t sums_of(const uint8_t* tables, size_t vectors, size_t apart) {
        Bytes most2{}, most4{};
        for (size_t i = 0; i < vectors; i += 4) {
            Bytes most[4];
            for (size_t s = 0; s < 4; ++s) most[s] = V::most(load(tables + (i + s) * apart));
            const Bytes first = V::add_saturated(most[0], most[1]), second = V::add_saturated(most[2], most[3]);
            most2 = V::max(most2, V::max(first, second));
            most4 = V::max(most4, V::add_saturated(first, second));
        }
        return !V::any_saturated(most4) ? 4 : (!V::any_saturated(most2) ? 2 : 1);
    }

    // Sums of rows with even numbers, and with odd ones.
    static Words rows_of(const Words (&sums)[2], size_t odd) { return odd != 0 ? sums[1] : sums[0] - (sums[1] << 8); }

    // Whether any sum is at most its lane's threshold.
    template <size_t kOf>
    static bool any_within(const Words (&sums)[kOf][2][2], Words threshold) {
        Words least = V::min16(rows_of(sums[0][0], 0), rows_of(sums[0][0], 1));
        for (size_t i = 1; i < 2 * kOf; ++i) {
            const auto& of = sums[i / 2][i % 2];
            least = V::min16(least, V::min16(rows_of(of, 0), rows_of(of, 1)));
        }
        return V::at_most(least, threshold) != 0;
    }

    // Copies the first n of `all` numbers, then some for rows that do not exist: with them as add, scores are NaN.
    static void fill_up(const float* from, size_t n, size_t all, bool is_add, float* to) {
        for (size_t r = 0; r < all; ++r) to[r] = r < n ? from[r] : (is_add ? __builtin_nanf("") : 0);
    }

    // Calls found(which, lane) for the scores within the bounds.
    template <size_t kOf, class F>
    static void each_within(const Floats (&scores)[kOf], Floats bound, F found) {
        for (size_t i = 0; i < kOf; ++i)
            for (uint32_t mask = V::within(scores[i], bound); mask != 0; mask &= mask - 1)
                found(i, size_t(__builtin_ctz(mask)));
    }
};

}  // namespace nibbles
}  // namespace
}  // namespace annkit::simd
