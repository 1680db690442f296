// A tile of nibbles for one query: a vector holds its tables of as many positions as there are lanes, and goes through
// as many blocks at once, whose sums end in a lane each. Bottleneck: see nibble_sums.h; codes from memory, memory.
#pragma once

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_sums.h"

namespace annkit::simd {
namespace {
namespace nibbles {

template <class V>
struct Lone : Vectors<V> {
    using Base = Vectors<V>;
    using Base::high;
    using Base::kQueries;
    using Base::kWidth;
    using Base::load;
    using Base::low;
    using Base::rows_of;
    using typename Base::Bytes;
    using typename Base::Floats;
    using typename Base::Words;

    static constexpr size_t kRows = kQueries * kBlockRows;

    struct Lanes {
        Floats scale, offset, error, bound;
    };

    // Panel: the tables as they come, so many positions a vector as it has lanes.
    static size_t panel_bytes(size_t dim) { return kHeader + (padded(dim) + 3 * kQueries) * 16; }

    static void pack(const void* const* queries, size_t n, size_t dim, void* panel) {
        Header header{uint32_t(n), {}};
        auto* tables = static_cast<uint8_t*>(panel) + kHeader;
        __builtin_memset(tables, 0, panel_bytes(dim) - kHeader);
        if (n > 0) __builtin_memcpy(tables, queries[0], dim * 16);
        header.sums[0] = uint8_t(Base::sums_of(tables, (dim + kQueries - 1) / kQueries, kWidth));
        __builtin_memcpy(panel, &header, sizeof header);
    }

    // Adds the look-ups of kSum vectors of positions, from byte i on, in as many blocks as there are lanes.
    template <size_t kSum, class Load>
    [[gnu::always_inline]] static void look_up(const uint8_t* tables, const uint8_t* const (&blocks)[kQueries],
                                               size_t i, Load load_codes, Words (&acc)[kQueries][2][2]) {
        Bytes part[kQueries][2];
#pragma GCC unroll 4
        for (size_t s = 0; s < kSum; ++s, i += kWidth) {
            const Bytes table = load(tables + i);
#pragma GCC unroll 4
            for (size_t b = 0; b < kQueries; ++b) {
                __builtin_prefetch(blocks[b] + i + kFetchAhead);
                const Bytes codes = load_codes(blocks[b] + i);
                const Bytes found[] = {V::look_up(table, low(codes)), V::look_up(table, high(codes))};
#pragma GCC unroll 2
                for (size_t h = 0; h < 2; ++h) part[b][h] = s == 0 ? found[h] : Base::add_next(part[b][h], found[h]);
            }
        }
#pragma GCC unroll 4
        for (size_t b = 0; b < kQueries; ++b)
#pragma GCC unroll 2
            for (size_t h = 0; h < 2; ++h) {
                acc[b][h][0] += Words(part[b][h]);
                acc[b][h][1] += Words(part[b][h]) >> 8;
            }
    }

    // The sums of those blocks, each block's in its own lane.
    template <size_t kSum>
    [[gnu::noinline]] static void accumulate(const uint8_t* tables, const uint8_t* const (&blocks)[kQueries],
                                             size_t dim, Words (&sums)[1][2][2]) {
        Words acc[kQueries][2][2];
#pragma GCC unroll 4
        for (size_t b = 0; b < kQueries; ++b)
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; ++i) acc[b][i / 2][i % 2] = Words{};
        const size_t bytes = dim * 16;
        size_t i = 0;
        for (; i + kSum * kWidth <= bytes; i += kSum * kWidth) look_up<kSum>(tables, blocks, i, load, acc);
        for (; i + kWidth <= bytes; i += kWidth) look_up<1>(tables, blocks, i, load, acc);
        if (i < bytes) look_up<1>(tables, blocks, i, V::load_half, acc);
#pragma GCC unroll 2
        for (size_t h = 0; h < 2; ++h)
#pragma GCC unroll 2
            for (size_t odd = 0; odd < 2; ++odd) {
                Words of[kQueries];
#pragma GCC unroll 4
                for (size_t b = 0; b < kQueries; ++b) of[b] = acc[b][h][odd];
                sums[0][h][odd] = V::fold(of);
            }
    }

    // Scores those sums; returns the number of hits.
    template <bool kSided, bool kErr>
    static size_t score(const TileArgs& a, size_t row, const Words (&sums)[1][2][2], const Lanes& lanes,
                        TileHit* hits) {
        constexpr size_t kFloats = kWidth / sizeof(float);
        const float* mul = kSided ? a.mul + row : nullptr;
        const float* add = kSided ? a.add + row : nullptr;
        const float* err = kErr ? a.err + row : nullptr;
        float last[3][kRows];
        if (kSided && row + kRows > a.n) {
            Base::fill_up(mul, a.n - row, kRows, false, last[0]);
            Base::fill_up(add, a.n - row, kRows, true, last[1]);
            if constexpr (kErr) Base::fill_up(err, a.n - row, kRows, false, last[2]);
            mul = last[0], add = last[1], err = last[2];
        }
        Words dots[kRows * sizeof(uint16_t) / kWidth];
        V::to_rows(rows_of(sums[0][0], 0), rows_of(sums[0][0], 1), rows_of(sums[0][1], 0), rows_of(sums[0][1], 1),
                   dots);
        Floats scores[kRows / kFloats], least = V::set1(__builtin_inff());
        for (size_t i = 0; i < kRows / kFloats; ++i) {
            Floats x = V::fma(V::half_to_floats(dots[i / 2], i % 2), lanes.scale, lanes.offset);
            if constexpr (kSided) x = V::fma(x, V::load_floats(mul + i * kFloats), V::load_floats(add + i * kFloats));
            if constexpr (kErr) x = V::fma(lanes.error, V::load_floats(err + i * kFloats), x);
            least = V::min(x, least);
            scores[i] = x;
        }
        if (a.scores != nullptr) {
            __builtin_memcpy(a.scores + row, scores, (a.n - row < kRows ? a.n - row : kRows) * sizeof(float));
            return 0;
        }
        if (V::within(least, lanes.bound) == 0) return 0;
        size_t found = 0;
        Base::each_within(scores, lanes.bound, [&](size_t i, size_t t) {
            const size_t r = row + i * kFloats + t;
            if (r < a.n) hits[found++] = {reinterpret_cast<const float*>(&scores[i])[t], uint32_t(r), 0};
        });
        return found;
    }

    template <bool kSided, bool kErr>
    static TileResult run_one(const TileArgs& a) {
        Header header;
        __builtin_memcpy(&header, a.panel, sizeof header);
        if (header.lanes == 0) return {a.n, 0};
        uint16_t threshold = 0;
        if constexpr (!kSided) find_thresholds(a, 1, &threshold);
        const Words limit = Words{} + threshold;
        const Lanes lanes{V::set1(a.scales[0]), V::set1(a.offsets[0]), kErr ? V::set1(a.errors[0]) : Floats{},
                          V::set1(a.bounds[0])};
        const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader;
        const auto add_up = header.sums[0] == 4 ? accumulate<4> : header.sums[0] == 2 ? accumulate<2> : accumulate<1>;
        size_t hits = 0;
        for (size_t row = a.first; row < a.n; row += kRows) {
            if (hits >= a.pause || hits + kRows > a.capacity) return {row, hits};
            const uint8_t* blocks[kQueries];
            for (size_t b = 0; b < kQueries; ++b) {
                const size_t first = row + b * kBlockRows < a.n ? row + b * kBlockRows : row;
                blocks[b] = static_cast<const uint8_t*>(a.rows) + first / kBlockRows * a.dim * 16;
            }
            Words sums[1][2][2];
            add_up(tables, blocks, a.dim, sums);
            if constexpr (!kSided)
                if (a.scores == nullptr && !Base::any_within(sums, limit)) continue;
            hits += score<kSided, kErr>(a, row, sums, lanes, a.hits + hits);
        }
        return {a.n, hits};
    }

    static TileResult run(const TileArgs& a) {
        if (a.mul == nullptr) return run_one<false, false>(a);
        return a.err != nullptr ? run_one<true, true>(a) : run_one<true, false>(a);
    }

    static constexpr Tile tile() { return {1, panel_bytes, pack, nullptr, nullptr, nullptr, run, true}; }
};

}  // namespace nibbles
}  // namespace
}  // namespace annkit::simd
