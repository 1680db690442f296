// Tiles of nibbles, for vectors V of 16-byte lanes that are shuffled each on its own (Andre et al., "Quick ADC"). The
// lanes of a vector hold the tables of as many queries at one position; a block's codes, split into nibbles once for
// all queries, are broadcast to them. A lone query has its tables of as many positions there, and as many blocks at
// once. Bottlenecks: the units that shuffle and add. A look-up costs a shuffle and an addition of bytes; and every kSum
// look-ups, as many as fit a byte, are widened by three operations more: sums of pairs of bytes as 16-bit numbers, and
// of the upper bytes alone, from which the lower follow.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace nibbles {

inline constexpr size_t kHeader = 64;
inline constexpr size_t kChunk = 128;  // positions that are split at a time
inline constexpr size_t kVectors = 2;  // of tables that share the codes in registers
inline constexpr size_t kPadding = 4;  // tables of zeros up to a multiple of so many positions
inline constexpr size_t kMaxGroups = 8;

// The start of a panel.
struct Header {
    uint32_t lanes;
    uint8_t sums[kMaxGroups];  // look-ups that fit a byte, for each group of queries: 1, 2 or 4
};

size_t padded(size_t dim) { return (dim + kPadding - 1) / kPadding * kPadding; }

template <class V>
struct Tiles {
    using Bytes = typename V::Bytes;
    using Words = typename V::Words;
    using Floats = typename V::Floats;

    static constexpr size_t kWidth = sizeof(Bytes);
    static constexpr size_t kQueries = kWidth / 16;  // of a vector
    static constexpr size_t kGroup = kQueries * kVectors;
    static constexpr size_t kBlocks = V::kBlocks;
    static constexpr size_t kRows = kBlocks * kBlockRows;
    static constexpr size_t kLoneRows = kQueries * kBlockRows;

    // Sums of one vector of queries: for every block, of rows 0 to 15 and 16 to 31, all bytes and the upper ones.
    struct Sums {
        Words of[kBlocks][2][2];
    };
    // What the rows of blocks contribute: mul, add and err; each for rows 16 h + 4 j + c of block b at [b][h][c][j].
    struct Sides {
        alignas(64) float of[3][kBlocks][2][4][4];
    };
    struct Lanes {
        Floats scale, offset, error, bound;
    };

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

    template <size_t kLanes>
    static size_t panel_bytes(size_t dim) {
        return kHeader + (kLanes + kGroup - 1) / kGroup * kGroup * padded(dim) * 16;
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

    // Tables of one position of all of a group's queries lie together. Lanes without a query get tables of ones: sums
    // of zero would pass the lowest threshold.
    static void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
        Header header{uint32_t(n), {}};
        auto* group = static_cast<uint8_t*>(panel) + kHeader;
        const size_t positions = padded(dim);
        for (size_t lane = 0; lane < n; lane += kGroup, group += positions * kGroup * 16) {
            for (size_t i = 0; i < kGroup; ++i) {
                const auto* from = lane + i < n ? static_cast<const uint8_t*>(queries[lane + i]) : nullptr;
                for (size_t p = 0; p < positions; ++p) {
                    uint8_t* to = group + (p * kGroup + i) * 16;
                    if (from != nullptr && p < dim)
                        __builtin_memcpy(to, from + p * 16, 16);
                    else
                        __builtin_memset(to, p < dim ? 1 : 0, 16);
                }
            }
            size_t sum = 4;
            for (size_t v = 0; v < kVectors; ++v) {
                const size_t fit = sums_of(group + v * kWidth, positions, kVectors * kWidth);
                sum = fit < sum ? fit : sum;
            }
            header.sums[lane / kGroup] = uint8_t(sum);
        }
        __builtin_memcpy(panel, &header, sizeof header);
    }

    // Nibbles of up to kChunk positions of the blocks: the low ones of the first block, its high ones, and so on.
    struct Split {
        alignas(64) uint8_t of[kBlocks][2][kChunk * 16];
    };
    static void split(const uint8_t* codes, size_t positions, uint8_t (&out)[2][kChunk * 16]) {
        for (size_t p = 0; p < positions; p += kQueries) {
            const Bytes x = p + kQueries <= positions ? load(codes + p * 16) : V::load_half(codes + p * 16);
            const Bytes halves[] = {low(x), high(x)};
            for (size_t h = 0; h < 2; ++h) __builtin_memcpy(out[h] + p * 16, &halves[h], kWidth);
        }
    }

    // Adds the look-ups of kUsed vectors of queries at some positions, a multiple of kPadding.
    template <size_t kUsed, size_t kSum>
    [[gnu::noinline]] static void accumulate(const uint8_t* tables, const Split& codes, size_t positions, Sums* sums) {
        Words acc[kUsed][kBlocks][2][2];
#pragma GCC unroll 2
        for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 8
            for (size_t i = 0; i < kBlocks * 4; ++i)
                acc[v][i / 4][i / 2 % 2][i % 2] = sums[v].of[i / 4][i / 2 % 2][i % 2];
        const uint8_t* at = &codes.of[0][0][0];
        for (size_t p = 0; p < positions; p += kSum) {
            Bytes part[kUsed][kBlocks][2];
#pragma GCC unroll 4
            for (size_t s = 0; s < kSum; ++s, at += 16, tables += kVectors * kWidth) {
#pragma GCC unroll 2
                for (size_t b = 0; b < kBlocks; ++b)
#pragma GCC unroll 2
                    for (size_t h = 0; h < 2; ++h) {
                        const Bytes code = V::broadcast(at + (b * 2 + h) * kChunk * 16);
#pragma GCC unroll 2
                        for (size_t v = 0; v < kUsed; ++v) {
                            const Bytes found = V::look_up(load(tables + v * kWidth), code);
                            part[v][b][h] = s == 0 ? found : add_next(part[v][b][h], found);
                        }
                    }
            }
#pragma GCC unroll 2
            for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 2
                for (size_t b = 0; b < kBlocks; ++b)
#pragma GCC unroll 2
                    for (size_t h = 0; h < 2; ++h) {
                        acc[v][b][h][0] += Words(part[v][b][h]);
                        acc[v][b][h][1] += Words(part[v][b][h]) >> 8;
                    }
        }
#pragma GCC unroll 2
        for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 8
            for (size_t i = 0; i < kBlocks * 4; ++i)
                sums[v].of[i / 4][i / 2 % 2][i % 2] = acc[v][i / 4][i / 2 % 2][i % 2];
    }

    template <size_t kUsed>
    static void accumulate(size_t sum, const uint8_t* tables, const Split& codes, size_t positions, Sums* sums) {
        if (sum == 4) return accumulate<kUsed, 4>(tables, codes, positions, sums);
        if (sum == 2) return accumulate<kUsed, 2>(tables, codes, positions, sums);
        accumulate<kUsed, 1>(tables, codes, positions, sums);
    }

    // Sums of rows with even numbers, and with odd ones.
    static Words rows_of(const Words (&sums)[2], size_t odd) { return odd != 0 ? sums[1] : sums[0] - (sums[1] << 8); }

    // Copies the first n of `all` numbers, then some for rows that do not exist: with them as add, scores are NaN.
    static void fill_up(const float* from, size_t n, size_t all, bool is_add, float* to) {
        for (size_t r = 0; r < all; ++r) to[r] = r < n ? from[r] : (is_add ? __builtin_nanf("") : 0);
    }

    static void fill(const TileArgs& a, size_t row, Sides& sides) {
        const float* from[] = {a.mul, a.add, a.err};
        for (size_t kind = 0; kind < 3; ++kind)
            for (size_t i = 0; from[kind] != nullptr && i < 2 * kBlocks; ++i) {
                const size_t first = row + i * 16;
                const float* x = from[kind] + first;
                float last[16];
                if (first + 16 > a.n) {
                    fill_up(x, first < a.n ? a.n - first : 0, 16, kind == 1, last);
                    x = last;
                }
                auto& to = sides.of[kind][i / 2][i % 2];
                V::transpose(x, to[0], to[1], to[2], to[3]);
            }
    }

    // Calls found(which, lane) for the scores within the bounds.
    template <size_t kOf, class F>
    static void each_within(const Floats (&scores)[kOf], Floats bound, F found) {
        for (size_t i = 0; i < kOf; ++i)
            for (uint32_t mask = V::within(scores[i], bound); mask != 0; mask &= mask - 1)
                found(i, size_t(__builtin_ctz(mask)));
    }

    [[gnu::noinline]] static size_t report(const TileArgs& a, size_t row, size_t lane,
                                           const Floats (&scores)[kBlocks * 8], Floats bound, TileHit* hits) {
        size_t found = 0;
        each_within(scores, bound, [&](size_t i, size_t t) {
            const size_t r = row + i / 4 * 16 + t % 4 * 4 + i % 4;
            if (r < a.n)
                hits[found++] = {reinterpret_cast<const float*>(&scores[i])[t], uint32_t(r), uint32_t(lane + t / 4)};
        });
        return found;
    }

    // Scores a vector's sums; returns the number of hits.
    template <bool kSided, bool kErr>
    static size_t score(const TileArgs& a, size_t row, size_t lane, const Sums& sums, const Sides& sides,
                        TileHit* hits) {
        const Floats scale = V::spread(a.scales + lane), offset = V::spread(a.offsets + lane);
        const Floats error = kErr ? V::spread(a.errors + lane) : Floats{}, bound = V::spread(a.bounds + lane);
        Floats scores[kBlocks * 8], least = V::set1(__builtin_inff());
        for (size_t i = 0; i < 2 * kBlocks; ++i)
            for (size_t c = 0; c < 4; ++c) {
                const Floats dot = V::to_floats(rows_of(sums.of[i / 2][i % 2], c % 2), c / 2);
                const auto side = [&](size_t kind) { return V::broadcast_floats(sides.of[kind][i / 2][i % 2][c]); };
                Floats x = V::fma(dot, scale, offset);
                if constexpr (kSided) x = V::fma(x, side(0), side(1));
                if constexpr (kErr) x = V::fma(error, side(2), x);
                least = V::min(x, least);  // unless it is NaN
                scores[i * 4 + c] = x;
            }
        return V::within(least, bound) == 0 ? 0 : report(a, row, lane, scores, bound, hits);
    }

    // The largest sums that may lie within the bounds; where none may, zero: scores decide.
    static void thresholds(const TileArgs& a, size_t lanes, uint16_t* out) {
        for (size_t i = 0; i < lanes; ++i) {
            const float bound = a.bounds[i], offset = a.offsets[i];
            const float slack = (__builtin_fabsf(bound) + __builtin_fabsf(offset)) * 0x1p-22f;
            const float most = (bound - offset + slack) / a.scales[i] + 0.0625f;
            out[i] = uint16_t(int32_t(most > 0 ? (most < 65535 ? most : 65535) : 0));
        }
    }

    // Whether any sum is at most its lane's threshold.
    template <size_t kOf>
    static bool any_within(const Words (&sums)[kOf][2][2], Words threshold) {
        Words least = V::min16(rows_of(sums[0][0], 0), rows_of(sums[0][0], 1));
        for (size_t i = 1; i < 2 * kOf; ++i) {
            const auto& of = sums[i / 2][i % 2];
            least = V::min16(least, V::min16(rows_of(of, 0), rows_of(of, 1)));
        }
        return V::any_at_most(least, threshold);
    }

    template <bool kSided, bool kErr>
    static TileResult run_many(const TileArgs& a) {
        Header header;
        __builtin_memcpy(&header, a.panel, sizeof header);
        const size_t lanes = header.lanes, positions = padded(a.dim);
        uint16_t threshold[kMaxGroups * kGroup] = {};
        if constexpr (!kSided) thresholds(a, lanes, threshold);
        Sums sums[kMaxGroups * kVectors];
        Split codes;
        Sides sides;
        size_t hits = 0;
        for (size_t row = a.first; row < a.n; row += kRows) {
            if (hits + lanes * kRows > a.capacity) return {row, hits};
            if constexpr (kSided) fill(a, row, sides);
            __builtin_memset(sums, 0, (lanes + kQueries - 1) / kQueries * sizeof sums[0]);
            const auto* block = static_cast<const uint8_t*>(a.rows) + row / kBlockRows * a.dim * 16;
            const size_t exist = a.n - row > kBlockRows ? kBlocks : 1;
            for (size_t p = 0; p < positions; p += kChunk) {
                const size_t some = positions - p < kChunk ? positions - p : kChunk;
                const size_t stored = a.dim - p < kChunk ? a.dim - p : kChunk;
                for (size_t b = 0; b < kBlocks; ++b)
                    split(block + ((b < exist ? b * a.dim : 0) + p) * 16, stored, codes.of[b]);
                const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader + p * kGroup * 16;
                for (size_t lane = 0; lane < lanes; lane += kGroup, tables += positions * kGroup * 16) {
                    Sums* of = sums + lane / kQueries;
                    const size_t sum = header.sums[lane / kGroup];
                    if (lanes - lane > kQueries)
                        accumulate<kVectors>(sum, tables, codes, some, of);
                    else
                        accumulate<1>(sum, tables, codes, some, of);
                }
            }
            for (size_t lane = 0; lane < lanes; lane += kQueries) {
                const Sums& of = sums[lane / kQueries];
                if constexpr (!kSided)
                    if (!any_within(of.of, V::spread(threshold + lane))) continue;
                hits += score<kSided, kErr>(a, row, lane, of, sides, a.hits + hits);
            }
        }
        return {a.n, hits};
    }

    static TileResult run(const TileArgs& a) {
        if (a.mul == nullptr) return run_many<false, false>(a);
        return a.err != nullptr ? run_many<true, true>(a) : run_many<true, false>(a);
    }

    // One query. Panel: its tables, as many positions a vector as there are lanes.
    static size_t lone_panel_bytes(size_t dim) { return kHeader + (padded(dim) + 3 * kQueries) * 16; }

    static void pack_lone(const void* const* queries, size_t n, size_t dim, void* panel) {
        Header header{uint32_t(n), {}};
        auto* tables = static_cast<uint8_t*>(panel) + kHeader;
        __builtin_memset(tables, 0, lone_panel_bytes(dim) - kHeader);
        if (n > 0) __builtin_memcpy(tables, queries[0], dim * 16);
        header.sums[0] = uint8_t(sums_of(tables, (dim + kQueries - 1) / kQueries, kWidth));
        __builtin_memcpy(panel, &header, sizeof header);
    }

    // Adds the look-ups of kSum vectors of positions, from byte i on, in as many blocks as there are lanes.
    template <size_t kSum, class Load>
    [[gnu::always_inline]] static void look_up_lone(const uint8_t* tables, const uint8_t* const (&blocks)[kQueries],
                                                    size_t i, Load load_codes, Words (&acc)[kQueries][2][2]) {
        Bytes part[kQueries][2];
#pragma GCC unroll 4
        for (size_t s = 0; s < kSum; ++s, i += kWidth) {
            const Bytes table = load(tables + i);
#pragma GCC unroll 4
            for (size_t b = 0; b < kQueries; ++b) {
                const Bytes codes = load_codes(blocks[b] + i);
                const Bytes found[] = {V::look_up(table, low(codes)), V::look_up(table, high(codes))};
#pragma GCC unroll 2
                for (size_t h = 0; h < 2; ++h) part[b][h] = s == 0 ? found[h] : add_next(part[b][h], found[h]);
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
    [[gnu::noinline]] static void accumulate_lone(const uint8_t* tables, const uint8_t* const (&blocks)[kQueries],
                                                  size_t dim, Words (&sums)[1][2][2]) {
        Words acc[kQueries][2][2];
#pragma GCC unroll 4
        for (size_t b = 0; b < kQueries; ++b)
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; ++i) acc[b][i / 2][i % 2] = Words{};
        const size_t bytes = dim * 16;
        size_t i = 0;
        for (; i + kSum * kWidth <= bytes; i += kSum * kWidth) look_up_lone<kSum>(tables, blocks, i, load, acc);
        for (; i + kWidth <= bytes; i += kWidth) look_up_lone<1>(tables, blocks, i, load, acc);
        if (i < bytes) look_up_lone<1>(tables, blocks, i, V::load_half, acc);
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
    static size_t score_lone(const TileArgs& a, size_t row, const Words (&sums)[1][2][2], const Lanes& lanes,
                             TileHit* hits) {
        constexpr size_t kFloats = kWidth / sizeof(float);
        const float* mul = kSided ? a.mul + row : nullptr;
        const float* add = kSided ? a.add + row : nullptr;
        const float* err = kErr ? a.err + row : nullptr;
        float last[3][kLoneRows];
        if (kSided && row + kLoneRows > a.n) {
            fill_up(mul, a.n - row, kLoneRows, false, last[0]);
            fill_up(add, a.n - row, kLoneRows, true, last[1]);
            if constexpr (kErr) fill_up(err, a.n - row, kLoneRows, false, last[2]);
            mul = last[0], add = last[1], err = last[2];
        }
        Words dots[kLoneRows * sizeof(uint16_t) / kWidth];
        V::to_rows(rows_of(sums[0][0], 0), rows_of(sums[0][0], 1), rows_of(sums[0][1], 0), rows_of(sums[0][1], 1),
                   dots);
        Floats scores[kLoneRows / kFloats], least = V::set1(__builtin_inff());
        for (size_t i = 0; i < kLoneRows / kFloats; ++i) {
            Floats x = V::fma(V::half_to_floats(dots[i / 2], i % 2), lanes.scale, lanes.offset);
            if constexpr (kSided) x = V::fma(x, V::load_floats(mul + i * kFloats), V::load_floats(add + i * kFloats));
            if constexpr (kErr) x = V::fma(lanes.error, V::load_floats(err + i * kFloats), x);
            least = V::min(x, least);
            scores[i] = x;
        }
        if (V::within(least, lanes.bound) == 0) return 0;
        size_t found = 0;
        each_within(scores, lanes.bound, [&](size_t i, size_t t) {
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
        if constexpr (!kSided) thresholds(a, 1, &threshold);
        const Words limit = Words{} + threshold;
        const Lanes lanes{V::set1(a.scales[0]), V::set1(a.offsets[0]), kErr ? V::set1(a.errors[0]) : Floats{},
                          V::set1(a.bounds[0])};
        const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader;
        const auto accumulate = header.sums[0] == 4   ? accumulate_lone<4>
                                : header.sums[0] == 2 ? accumulate_lone<2>
                                                      : accumulate_lone<1>;
        size_t hits = 0;
        for (size_t row = a.first; row < a.n; row += kLoneRows) {
            if (hits + kLoneRows > a.capacity) return {row, hits};
            const uint8_t* blocks[kQueries];
            for (size_t b = 0; b < kQueries; ++b) {
                const size_t first = row + b * kBlockRows < a.n ? row + b * kBlockRows : row;
                blocks[b] = static_cast<const uint8_t*>(a.rows) + first / kBlockRows * a.dim * 16;
            }
            Words sums[1][2][2];
            accumulate(tables, blocks, a.dim, sums);
            if constexpr (!kSided)
                if (!any_within(sums, limit)) continue;
            hits += score_lone<kSided, kErr>(a, row, sums, lanes, a.hits + hits);
        }
        return {a.n, hits};
    }

    static TileResult run_lone(const TileArgs& a) {
        if (a.mul == nullptr) return run_one<false, false>(a);
        return a.err != nullptr ? run_one<true, true>(a) : run_one<true, false>(a);
    }

    template <size_t kLanes>
    static constexpr Tile tile() {
        static_assert(kLanes <= kMaxGroups * kGroup && kLanes * kRows <= kMinHits);
        return {kLanes, panel_bytes<kLanes>, pack_queries, nullptr, nullptr, nullptr, run};
    }
    static constexpr Tile lone() { return {1, lone_panel_bytes, pack_lone, nullptr, nullptr, nullptr, run_lone}; }
};

}  // namespace nibbles
}  // namespace
}  // namespace annkit::simd
