// Hamming distances by bit planes: a tile filter for packed bits, written once for every instruction set.
//
// A plane holds one bit of each of many codes, one a bit of a register. With x = query ^ code, a distance is
//   x0 + x1 + x2 + ... = 2 * (maj(x0, x1, x2) + maj(x0 ^ x1 ^ x2, x3, x4) + ...) + parity:
// the first layer of a Harley-Seal counter. A majority depends on three bits of the query only (two of its own and the
// parity of those before), so pack_rows stores its plane for all eight cases and a query just loads the right one:
// two bits cost one load and one full adder, with neither xor nor popcount. The counter starts at 2^levels - 1 - bound
// / 2: it overflows for the rows that are too far. Even bounds are made odd by one more bit, in which all rows differ.
//
// Bottleneck: one plane loaded and one full adder a 2 bits (2 operations with vpternlog, 5 without).
#pragma once

#include "annkit/simd/hamming_rows.h"

namespace annkit::simd {
namespace {

// V names the registers of an instruction set and what vector operators lack.
template <class V>
class HammingPlanes {
  public:
    static constexpr Tile tile() {
        return {kMaxLanes, panel_bytes, pack_queries, rows_bytes, pack_rows, [](size_t) { return size_t(0); }, run};
    }

  private:
    using Reg = typename V::Reg;
    static constexpr size_t kCodes = 8 * sizeof(Reg);   // codes a block
    static constexpr size_t kWord = 32;                 // majorities of a 64-bit word
    static constexpr size_t kCases = 8 * sizeof(Reg);   // bytes of one majority's planes
    static constexpr size_t kIndex = sizeof(Reg) / 16;  // a panel holds 16 * case: one byte, scaled when it is used
    static constexpr int kMaxLevels = 40, kMaxHigh = kMaxLevels - 4;
    static constexpr size_t kFull = ~size_t(0);

    static Reg load(const void* from) { return *static_cast<const Reg*>(from); }
    static void store(void* to, Reg a) { *static_cast<Reg*>(to) = a; }
    static Reg splat(uint64_t a) { return a - Reg{}; }

    static size_t words(size_t dim) { return (dim + 7) / 8; }
    static size_t lane_bytes(size_t dim) { return (words(dim) + 1) * kWord; }
    static size_t panel_bytes(size_t dim) { return kMaxLanes * lane_bytes(dim); }
    static size_t block_bytes(size_t dim) { return words(dim) * kWord * kCases + kCases; }  // the parities lie behind
    static size_t rows_bytes(size_t dim, size_t n) { return (n + kCodes - 1) / kCodes * block_bytes(dim); }

    static void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
        for (size_t lane = 0; lane < n; ++lane) {
            uint8_t* out = static_cast<uint8_t*>(panel) + lane * lane_bytes(dim);
            uint64_t bits = load_bits(queries[lane], dim, 0), carry = 0;
            for (size_t w = 0; w < words(dim); ++w) {
                const uint64_t after = w + 1 < words(dim) ? load_bits(queries[lane], dim, w + 1) : 0;
                uint64_t parities = bits;  // bit j: of bits 0 to j and all before
                for (int i = 1; i < 64; i *= 2) parities ^= parities << i;
                parities ^= 0 - carry;
                const uint64_t even = 0x5555555555555555, b = (bits >> 2 | after << 62) & even;
                const uint64_t first = (parities & even) | (bits & ~even);
                for (size_t i = 0; i < 64; i += 16, out += 8) {
                    const uint64_t x = spread(first >> i & 0xffff), ones = 0x0101010101010101;
                    const uint64_t cases = (x & ones) << 6 | (x & 2 * ones) << 4 | spread(b >> i & 0xffff) << 4;
                    __builtin_memcpy(out, &cases, 8);
                }
                carry = parities >> 63;
                bits = after;
            }
            *out = uint8_t(carry);
        }
    }

    // 16 bits, two to a byte.
    static uint64_t spread(uint64_t x) {
        x = (x | x << 24) & 0x000000ff000000ff;
        x = (x | x << 12) & 0x000f000f000f000f;
        return (x | x << 6) & 0x0303030303030303;
    }

    static void pack_rows(const void* const* rows, size_t n, size_t dim, void* out) {
        for (size_t begin = 0; begin < n; begin += kCodes) {
            const size_t left = n - begin < kCodes ? n - begin : kCodes;
            pack_block(rows + begin, left, dim, static_cast<uint8_t*>(out) + begin / kCodes * block_bytes(dim));
        }
    }

    static void load_words(const void* const* rows, size_t n, size_t dim, size_t w, uint64_t* codes) {
        if (8 * w + 8 <= dim) {
            for (size_t i = 0; i < n; ++i) __builtin_memcpy(codes + i, static_cast<const uint8_t*>(rows[i]) + 8 * w, 8);
        } else {
            for (size_t i = 0; i < n; ++i) codes[i] = load_bits(rows[i], dim, w);
        }
        for (size_t i = n; i < kCodes; ++i) codes[i] = codes[n - 1];
    }

    // Missing rows repeat the last one: they cause no hits that it does not cause.
    static void pack_block(const void* const* rows, size_t n, size_t dim, uint8_t* out) {
        alignas(64) uint64_t codes[kCodes];
        alignas(64) Reg bits[64];
        Reg parity = splat(0), a = parity;
        for (size_t w = 0; w < words(dim); ++w) {
            load_words(rows, n, dim, w, codes);
            transpose(codes, bits);
            if (w == 0) {
                parity = bits[0];
            } else {
                store_cases(parity, a, bits[0], out);
                out += kCases;
            }
            for (size_t i = 1; i + 1 < 64; i += 2, out += kCases) store_cases(parity, bits[i], bits[i + 1], out);
            a = bits[63];
        }
        store_cases(parity, a, splat(0), out);
        store(out + kCases, parity);
    }

    static void store_cases(Reg& parity, Reg a, Reg b, uint8_t* out) {
        const Reg not_parity = ~parity, not_a = ~a, not_b = ~b;
        const size_t step = sizeof(Reg);
        store(out + 0 * step, V::majority(parity, a, b));
        store(out + 1 * step, V::majority(parity, a, not_b));
        store(out + 2 * step, V::majority(parity, not_a, b));
        store(out + 3 * step, V::majority(parity, not_a, not_b));
        store(out + 4 * step, V::majority(not_parity, a, b));
        store(out + 5 * step, V::majority(not_parity, a, not_b));
        store(out + 6 * step, V::majority(not_parity, not_a, b));
        store(out + 7 * step, V::majority(not_parity, not_a, not_b));
        parity = V::sum(parity, a, b);
    }

    // bits[b], 64-bit lane l, bit r = bit b of codes[r * lanes + l]: 64 x 64 bits a lane, three halvings a pass.
    static void transpose(const uint64_t* codes, Reg* bits) {
        for (size_t i = 0; i < 8; ++i) {
            Reg x[8];
            for (size_t k = 0; k < 8; ++k) x[k] = load(codes + (8 * k + i) * (sizeof(Reg) / 8));
            halve<4, 32>(x, 0x00000000ffffffff);
            halve<2, 16>(x, 0x0000ffff0000ffff);
            halve<1, 8>(x, 0x00ff00ff00ff00ff);
            for (size_t k = 0; k < 8; ++k) bits[8 * k + i] = x[k];
        }
        for (size_t i = 0; i < 64; i += 8) {
            Reg x[8];
            for (size_t k = 0; k < 8; ++k) x[k] = bits[i + k];
            halve<4, 4>(x, 0x0f0f0f0f0f0f0f0f);
            halve<2, 2>(x, 0x3333333333333333);
            halve<1, 1>(x, 0x5555555555555555);
            for (size_t k = 0; k < 8; ++k) bits[i + k] = x[k];
        }
    }

    template <int kApart, int kShift>
    [[gnu::always_inline]] static inline void halve(Reg* x, uint64_t low) {
        const Reg mask = splat(low);
        for (int k = 0; k < 8; ++k) {
            if (k & kApart) continue;
            const Reg a = x[k], b = x[k + kApart];
            x[k] = V::select(mask, a, b << kShift);
            x[k + kApart] = V::select(mask, a >> kShift, b);
        }
    }

    struct Lane {
        const uint8_t* query;
        uint64_t start;  // of the counter: 2^levels - 1 - bound / 2
        uint32_t number;
        uint8_t last;    // case of the last majority, which holds the bit that makes bounds odd
        uint8_t even;    // that bit: the bound was even
        uint8_t parity;  // of the query
        bool all;        // the bound lets every row pass
    };
    template <int kLevels>
    struct Plan {
        size_t chunks;  // of 2^kLevels majorities: what the code adds without a loop
        int levels;     // of the whole counter
        size_t lanes = 0;
        Lane lane[kMaxLanes];
        uint64_t starts[kMaxLanes][kLevels];  // bits of start, spread
    };

    static TileResult run(const TileArgs& args) {
        const size_t w = words(args.dim);
        if (w % 4 == 0) return run_chunks<7>(args);
        return w % 2 == 0 ? run_chunks<6>(args) : run_chunks<5>(args);
    }

    template <int kLevels>
    static TileResult run_chunks(const TileArgs& args) {
        Plan<kLevels> plan;
        plan_lanes(args, plan);
        const auto run_block = plan.chunks == 1 ? run_block_of<kLevels, true> : run_block_of<kLevels, false>;
        size_t begin = args.first, hits = 0;
        while (begin < args.n) {
            const size_t next = begin / kCodes * kCodes + kCodes, end = next < args.n ? next : args.n;
            const size_t all = run_block(args, plan, begin, end, hits);
            if (all == kFull && hits > 0) return {begin, hits};
            if (all == kFull) {  // too many in this block alone: a few of its rows
                const size_t few = begin + args.capacity / kMaxLanes;
                return {few, run_block(args, plan, begin, few, 0)};
            }
            hits = all;
            begin = end;
        }
        return {begin, hits};
    }

    template <int kLevels>
    static void plan_lanes(const TileArgs& args, Plan<kLevels>& plan) {
        plan.chunks = words(args.dim) * kWord >> kLevels;
        plan.levels = kLevels;
        while (size_t(1) << (plan.levels - kLevels) < plan.chunks) ++plan.levels;
        for (uint32_t number = 0; number < kMaxLanes; ++number) {
            const float bound = args.bounds[number];
            if (!(bound >= 0)) continue;
            Lane& lane = plan.lane[plan.lanes];
            lane.number = number;
            lane.query = static_cast<const uint8_t*>(args.panel) + number * lane_bytes(args.dim);
            lane.parity = lane.query[words(args.dim) * kWord];
            lane.all = bound >= float(8 * args.dim);
            const uint64_t whole = lane.all ? 8 * args.dim - 1 : uint64_t(bound);
            lane.start = (uint64_t(1) << plan.levels) - 1 - whole / 2;
            lane.even = uint8_t(1 - whole % 2);
            lane.last = uint8_t(lane.query[words(args.dim) * kWord - 1] + 16 * lane.even);
            for (int i = 0; i < kLevels; ++i) plan.starts[plan.lanes][i] = -(lane.start >> i & 1);
            ++plan.lanes;
        }
    }

    // All lanes against rows [begin, end) of one block; returns the hits there are then, or kFull.
    template <int kLevels, bool kOneChunk>
    static size_t run_block_of(const TileArgs& args, const Plan<kLevels>& plan, size_t begin, size_t end, size_t hits) {
        const uint8_t* planes = static_cast<const uint8_t*>(args.rows) + begin / kCodes * block_bytes(args.dim);
        for (size_t i = 0; i < plan.lanes; ++i) {
            const Lane& lane = plan.lane[i];
            Reg sums[kLevels], high[kMaxHigh];
            for (int level = 0; level < kLevels; ++level) sums[level] = splat(plan.starts[i][level]);
            if constexpr (kOneChunk) {
                high[0] = add<kLevels, true>(planes, lane.query, lane.last, sums);
            } else {
                add_chunks<kLevels>(planes, plan, lane, sums, high);
            }
            const int top = kOneChunk ? 0 : plan.levels - kLevels;
            if (V::all_set(high[top]) && !lane.all) continue;
            alignas(64) uint64_t counts[kMaxLevels + 1][kCodes / 64];
            for (int level = 0; level < kLevels; ++level) store(counts[level], sums[level]);
            for (int level = 0; level <= top; ++level) store(counts[kLevels + level], high[level]);
            hits = emit(args, lane, counts, plan.levels, begin, end, hits);
            if (hits == kFull) break;
        }
        return hits;
    }

    template <int kLevels>
    static void add_chunks(const uint8_t* planes, const Plan<kLevels>& plan, const Lane& lane, Reg* sums, Reg* high) {
        const int top = plan.levels - kLevels;
        for (int level = 0; level <= top; ++level) high[level] = splat(-(lane.start >> (kLevels + level) & 1));
        for (size_t c = 0; c < plan.chunks; ++c) {
            const uint8_t* query = lane.query + (c << kLevels);
            const uint8_t last = c + 1 < plan.chunks ? query[(1 << kLevels) - 1] : lane.last;
            Reg carry = add<kLevels, true>(planes + c * (kCases << kLevels), query, last, sums);
            for (int level = 0; level < top; ++level) {
                const Reg next = high[level] & carry;
                high[level] ^= carry;
                carry = next;
            }
            high[top] |= carry;
        }
    }

    // Adds 2^kLevel majorities to the counter's lower planes; returns their carry.
    template <int kLevel, bool kLast>
    [[gnu::always_inline]] static inline Reg add(const uint8_t* planes, const uint8_t* query, size_t last, Reg* sums) {
        if constexpr (kLevel == 0) {
            return load(planes + (kLast ? last : size_t(*query)) * kIndex);
        } else {
            constexpr size_t kHalf = size_t(1) << (kLevel - 1);
            const Reg a = add<kLevel - 1, false>(planes, query, last, sums);
            const Reg b = add<kLevel - 1, kLast>(planes + kHalf * kCases, query + kHalf, last, sums);
            Reg& sum = sums[kLevel - 1];
            const Reg carry = V::majority(sum, a, b);
            sum = V::sum(sum, a, b);
            return carry;
        }
    }

    [[gnu::noinline, gnu::cold]] static size_t emit(const TileArgs& args, const Lane& lane,
                                                    const uint64_t (*counts)[kCodes / 64], int levels, size_t begin,
                                                    size_t end, size_t hits) {
        const size_t block = begin / kCodes;
        const uint8_t* parities = static_cast<const uint8_t*>(args.rows) + (block + 1) * block_bytes(args.dim) - kCases;
        for (size_t l = 0; l < kCodes / 64; ++l) {
            uint64_t parity, near = lane.all ? ~uint64_t(0) : ~counts[levels][l];
            __builtin_memcpy(&parity, parities + 8 * l, 8);
            for (; near != 0; near &= near - 1) {
                const int bit = __builtin_ctzll(near);
                const size_t row = block * kCodes + size_t(bit) * (kCodes / 64) + l;
                if (row < begin || row >= end) continue;
                if (hits == args.capacity) return kFull;
                uint64_t count = 0;
                for (int i = 0; i <= levels; ++i) count |= (counts[i][l] >> bit & 1) << i;
                const uint64_t odd = ((parity >> bit & 1) ^ lane.parity ^ lane.even) & 1;
                const uint64_t distance = 2 * (count - lane.start) + odd - lane.even;
                args.hits[hits++] = {float(distance), uint32_t(row), lane.number};
            }
        }
        return hits;
    }
};

}  // namespace
}  // namespace annkit::simd
