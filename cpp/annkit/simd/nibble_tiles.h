// Tiles of nibbles for several queries: the lanes of a vector hold the tables of as many of them at one position; a
// block's codes, split into nibbles once for all queries, are broadcast to them. Bottleneck: see nibble_sums.h.
#pragma once

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_sums.h"

namespace annkit::simd {
namespace {
namespace nibbles {

inline constexpr size_t kChunk = 128;  // positions that are split at a time
inline constexpr size_t kVectors = 2;  // of tables that share the codes in registers

template <class V>
struct Tiles : Vectors<V> {
    using Base = Vectors<V>;
    using Base::kQueries;
    using Base::kWidth;
    using Base::load;
    using Base::rows_of;
    using typename Base::Bytes;
    using typename Base::Floats;
    using typename Base::Words;
    static constexpr size_t kGroup = kQueries * kVectors;
    static constexpr size_t kBlocks = V::kBlocks;
    static constexpr size_t kRows = kBlocks * kBlockRows;

    // Sums of one vector of queries: for every block, of rows 0 to 15 and 16 to 31, all bytes and the upper ones.
    struct Sums {
        Words of[kBlocks][2][2];
    };
    // What the rows of blocks contribute: mul, add and err; each for rows 16 h + 4 j + c of block b at [b][h][c][j].
    struct Sides {
        alignas(64) float of[3][kBlocks][2][4][4];
    };
    template <size_t kLanes>
    static size_t panel_bytes(size_t dim) {
        return kHeader + (kLanes + kGroup - 1) / kGroup * kGroup * padded(dim) * 16;
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
                const size_t fit = Base::sums_of(group + v * kWidth, positions, kVectors * kWidth);
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
        for (size_t p = 0; p < padded(positions); p += kQueries) {
            __builtin_prefetch(codes + p * 16 + kFetchAhead);
            Bytes x{};
            if (p + kQueries <= positions)
                x = load(codes + p * 16);
            else if (p < positions)
                x = V::load_half(codes + p * 16);
            const Bytes halves[] = {Base::low(x), Base::high(x)};
            for (size_t h = 0; h < 2; ++h) __builtin_memcpy(out[h] + p * 16, &halves[h], kWidth);
        }
    }

    // Which of the positions a call of accumulate adds up, and what it is to find out at the end.
    struct Task {
        const uint8_t* tables;
        const Split* codes;
        size_t positions;           // a multiple of kPadding
        bool first, last;           // sums start from zero; are complete
        const uint16_t* threshold;  // one a lane; null: sums are wanted whatever they are
    };

    // The look-ups of kUsed vectors of queries. Returns a bit for each vector with a sum within its lane's threshold,
    // or all bits; where it returns none, sums are not written.
    template <size_t kUsed, size_t kSum>
    [[gnu::noinline]] static unsigned accumulate(const Task& task, Sums* sums) {
        Words acc[kUsed][kBlocks][2][2];
#pragma GCC unroll 2
        for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 8
            for (size_t i = 0; i < kBlocks * 4; ++i) acc[v][i / 4][i / 2 % 2][i % 2] = Words{};
        if (!task.first)
#pragma GCC unroll 2
            for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 8
                for (size_t i = 0; i < kBlocks * 4; ++i)
                    acc[v][i / 4][i / 2 % 2][i % 2] = sums[v].of[i / 4][i / 2 % 2][i % 2];
        const uint8_t *at = &task.codes->of[0][0][0], *tables = task.tables;
        for (size_t p = 0; p < task.positions; p += kSum) {
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
                            part[v][b][h] = s == 0 ? found : Base::add_next(part[v][b][h], found);
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
        unsigned within = ~0u;
        if (task.last && task.threshold != nullptr) {
            within = 0;
#pragma GCC unroll 2
            for (size_t v = 0; v < kUsed; ++v)
                within |= unsigned(Base::any_within(acc[v], V::spread(task.threshold + v * kQueries))) << v;
            if (within == 0) return 0;
        }
#pragma GCC unroll 2
        for (size_t v = 0; v < kUsed; ++v)
#pragma GCC unroll 8
            for (size_t i = 0; i < kBlocks * 4; ++i)
                sums[v].of[i / 4][i / 2 % 2][i % 2] = acc[v][i / 4][i / 2 % 2][i % 2];
        return within;
    }

    template <size_t kUsed>
    static unsigned accumulate(size_t sum, const Task& task, Sums* sums) {
        if (sum == 4) return accumulate<kUsed, 4>(task, sums);
        if (sum == 2) return accumulate<kUsed, 2>(task, sums);
        return accumulate<kUsed, 1>(task, sums);
    }

    static void fill(const TileArgs& a, size_t row, Sides& sides) {
        const float* from[] = {a.mul, a.add, a.err};
        for (size_t kind = 0; kind < 3; ++kind)
            for (size_t i = 0; from[kind] != nullptr && i < 2 * kBlocks; ++i) {
                const size_t first = row + i * 16;
                const float* x = from[kind] + first;
                float last[16];
                if (first + 16 > a.n) {
                    Base::fill_up(x, first < a.n ? a.n - first : 0, 16, kind == 1, last);
                    x = last;
                }
                auto& to = sides.of[kind][i / 2][i % 2];
                V::transpose(x, to[0], to[1], to[2], to[3]);
            }
    }

    [[gnu::noinline]] static size_t report(const TileArgs& a, size_t row, size_t lane,
                                           const Floats (&scores)[kBlocks * 8], Floats bound, TileHit* hits) {
        size_t found = 0;
        Base::each_within(scores, bound, [&](size_t i, size_t t) {
            const size_t r = row + i / 4 * 16 + t % 4 * 4 + i % 4;
            if (r < a.n)
                hits[found++] = {reinterpret_cast<const float*>(&scores[i])[t], uint32_t(r), uint32_t(lane + t / 4)};
        });
        return found;
    }

    // Scores a vector's sums; returns the number of hits.
    template <bool kErr>
    static size_t score(const TileArgs& a, size_t row, size_t lane, const Sums& sums, const Sides& sides,
                        TileHit* hits) {
        const Floats scale = V::spread(a.scales + lane), offset = V::spread(a.offsets + lane);
        const Floats error = kErr ? V::spread(a.errors + lane) : Floats{}, bound = V::spread(a.bounds + lane);
        Floats scores[kBlocks * 8], least = V::set1(__builtin_inff());
        for (size_t i = 0; i < 2 * kBlocks; ++i)
            for (size_t c = 0; c < 4; ++c) {
                const Floats dot = V::to_floats(rows_of(sums.of[i / 2][i % 2], c % 2), c / 2);
                const auto side = [&](size_t kind) { return V::broadcast_floats(sides.of[kind][i / 2][i % 2][c]); };
                Floats x = V::fma(V::fma(dot, scale, offset), side(0), side(1));
                if constexpr (kErr) x = V::fma(error, side(2), x);
                least = V::min(x, least);  // unless it is NaN
                scores[i * 4 + c] = x;
            }
        return V::within(least, bound) == 0 ? 0 : report(a, row, lane, scores, bound, hits);
    }

    // The same of sums whose scores are not sided: few are within the threshold, and only those become scores.
    [[gnu::noinline]] static size_t report_sums(const TileArgs& a, size_t row, size_t lane, const Sums& sums,
                                                Words threshold, TileHit* hits) {
        size_t found = 0;
        for (size_t i = 0; i < 4 * kBlocks; ++i) {
            const Words dots = rows_of(sums.of[i / 4][i / 2 % 2], i % 2);
            for (uint32_t mask = V::at_most(dots, threshold); mask != 0; mask &= mask - 1) {
                const auto w = size_t(__builtin_ctz(mask));
                const size_t l = lane + w / 8, r = row + i / 2 * 16 + w % 8 * 2 + i % 2;
                const float dot = reinterpret_cast<const uint16_t*>(&dots)[w];
                const float score = __builtin_fmaf(dot, a.scales[l], a.offsets[l]);
                if (r < a.n && score <= a.bounds[l]) hits[found++] = {score, uint32_t(r), uint32_t(l)};
            }
        }
        return found;
    }

    template <bool kSided, bool kErr>
    static TileResult run_many(const TileArgs& a) {
        Header header;
        __builtin_memcpy(&header, a.panel, sizeof header);
        const size_t lanes = header.lanes, positions = padded(a.dim);
        uint16_t threshold[kMaxGroups * kGroup] = {};
        if constexpr (!kSided) find_thresholds(a, lanes, threshold);
        Sums sums[kMaxGroups * kVectors];
        Split codes;
        Sides sides;
        size_t hits = 0;
        for (size_t row = a.first; row < a.n; row += kRows) {
            if (hits >= a.pause || hits + lanes * kRows > a.capacity) return {row, hits};
            if constexpr (kSided) fill(a, row, sides);
            const auto* block = static_cast<const uint8_t*>(a.rows) + row / kBlockRows * a.dim * 16;
            const size_t exist = a.n - row > kBlockRows ? kBlocks : 1;
            unsigned within[kMaxGroups];
            for (size_t p = 0; p < positions; p += kChunk) {
                const size_t some = positions - p < kChunk ? positions - p : kChunk;
                const size_t stored = a.dim - p < kChunk ? a.dim - p : kChunk;
                for (size_t b = 0; b < kBlocks; ++b)
                    split(block + ((b < exist ? b * a.dim : 0) + p) * 16, stored, codes.of[b]);
                const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader + p * kGroup * 16;
                Task task{tables, &codes, some, p == 0, p + some == positions, kSided ? nullptr : threshold};
                for (size_t group = 0; group * kGroup < lanes; ++group) {
                    Sums* of = sums + group * kVectors;
                    const size_t sum = header.sums[group];
                    within[group] = lanes - group * kGroup > kQueries ? accumulate<kVectors>(sum, task, of)
                                                                      : accumulate<1>(sum, task, of);
                    task.tables += positions * kGroup * 16;
                    if constexpr (!kSided) task.threshold += kGroup;
                }
            }
            for (size_t lane = 0; lane < lanes; lane += kQueries)
                if (within[lane / kGroup] >> lane % kGroup / kQueries & 1) {
                    const Sums& of = sums[lane / kQueries];
                    if constexpr (kSided)
                        hits += score<kErr>(a, row, lane, of, sides, a.hits + hits);
                    else
                        hits += report_sums(a, row, lane, of, V::spread(threshold + lane), a.hits + hits);
                }
        }
        return {a.n, hits};
    }

    static TileResult run(const TileArgs& a) {
        if (a.mul == nullptr) return run_many<false, false>(a);
        return a.err != nullptr ? run_many<true, true>(a) : run_many<true, false>(a);
    }

    template <size_t kLanes>
    static constexpr Tile tile() {
        static_assert(kLanes <= kMaxGroups * kGroup && kLanes * kRows <= kMinHits);
        return {kLanes, panel_bytes<kLanes>, pack_queries, nullptr, nullptr, nullptr, run};
    }
};

}  // namespace nibbles
}  // namespace
}  // namespace annkit::simd
