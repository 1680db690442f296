// Tiles of nibbles for several queries, with VBMI and VNNI: a register holds a query's tables at four positions, 64
// bytes, and one shuffle of bytes looks up the codes of 16 rows there; a dot product with ones adds the four up. Codes
// are turned so that a row's four lie side by side, once for all queries; each knows which of the tables is its own.
// Bottleneck: the units that shuffle bytes across a register (half of the operations), and what adds. Look-ups at
// positions 4 apart are added as bytes first where they fit, which saves half of the dot products. Two blocks of rows
// share each table that is loaded: with one, loads are what it waits for.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_sums.h"

namespace annkit::simd {
namespace {
namespace nibbles_vbmi {

inline constexpr size_t kHeader = 64;
inline constexpr size_t kTogether = 4;  // positions in a register
inline constexpr size_t kStep = 2;      // registers of positions that are added as bytes
inline constexpr size_t kQueries = 4;   // that share codes in registers
inline constexpr size_t kBlocks = 2;    // that share tables in registers
inline constexpr size_t kMostHalves = 2 * kBlocks;
inline constexpr size_t kRows = kBlocks * kBlockRows;
inline constexpr size_t kChunk = 128;  // positions that are turned at a time
inline constexpr size_t kMost = 64;    // lanes of a panel

// The start of a panel. fit: whether the look-ups of kStep registers fit a byte, for all queries.
struct Header {
    uint32_t lanes, fit;
};

constexpr size_t padded(size_t dim) { return (dim + kStep * kTogether - 1) / (kStep * kTogether) * kStep * kTogether; }

template <size_t kLanes>
size_t panel_bytes(size_t dim) {
    return kHeader + kLanes * padded(dim) * 16;
}

__m512i load(const void* x) { return _mm512_loadu_si512(x); }

// The largest entry of each of four tables, all over it.
__m512i most(__m512i x) {
    x = _mm512_max_epu8(x, _mm512_shuffle_epi32(x, _MM_PERM_BADC));
    x = _mm512_max_epu8(x, _mm512_shuffle_epi32(x, _MM_PERM_CDAB));
    x = _mm512_max_epu8(x, _mm512_rol_epi32(x, 16));
    return _mm512_max_epu8(x, _mm512_rol_epi32(x, 8));
}

// Four queries' tables at four positions follow each other, then come the next positions.
void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    auto* quad = static_cast<uint8_t*>(panel) + kHeader;
    const size_t bytes = padded(dim) * 16;
    __mmask64 over = 0;
    for (size_t lane = 0; lane < n; lane += kQueries, quad += kQueries * bytes)
        for (size_t i = 0; i < kQueries; ++i) {
            const auto* from = lane + i < n ? static_cast<const uint8_t*>(queries[lane + i]) : nullptr;
            __m512i before = _mm512_setzero_si512();
            for (size_t at = 0; at < bytes; at += 64) {
                const size_t there = from == nullptr || at >= dim * 16 ? 0 : dim * 16 - at;
                const __mmask64 some = there >= 64 ? ~__mmask64(0) : (__mmask64(1) << there) - 1;
                const __m512i x = _mm512_maskz_loadu_epi8(some, from + (there > 0 ? at : 0));
                _mm512_store_si512(quad + at * kQueries + i * 64, x);
                const __m512i largest = most(x);
                if (at / 64 % kStep == kStep - 1)
                    over |= _mm512_cmpeq_epi8_mask(_mm512_adds_epu8(before, largest), _mm512_set1_epi8(-1));
                before = largest;
            }
        }
    const Header header{uint32_t(n), over == 0};
    __builtin_memcpy(panel, &header, sizeof header);
}

// Codes of up to kChunk positions of blocks: for each four positions rows 0 to 15, then rows 16 to 31, and so on.
struct Turned {
    alignas(64) uint8_t of[kChunk / kTogether][kMostHalves][64];
};

// stored: how many of the positions there are codes of; the others' are 0.
void turn(const uint8_t* block, size_t positions, size_t stored, size_t half, Turned& out) {
    alignas(64) uint8_t order[64];
    for (size_t i = 0; i < 64; ++i) order[i] = uint8_t(i % 4 * 16 + i / 4);
    const __m512i turned = load(order), table = _mm512_set1_epi32(0x30201000), low = _mm512_set1_epi8(15);
    for (size_t p = 0; p < positions; p += kTogether) {
        __builtin_prefetch(block + p * 16 + kFetchAhead);
        const size_t there = p >= stored ? 0 : (stored - p) * 16;
        const __mmask64 some = there >= 64 ? ~__mmask64(0) : (__mmask64(1) << there) - 1;
        const __m512i x =
            _mm512_permutexvar_epi8(turned, _mm512_maskz_loadu_epi8(some, block + (there > 0 ? p : 0) * 16));
        auto& to = out.of[p / kTogether];
        // low nibbles, and then high ones, beside their tables' numbers: (x & low) | table
        _mm512_store_si512(to[half], _mm512_ternarylogic_epi32(x, low, table, 0xea));
        _mm512_store_si512(to[half + 1], _mm512_ternarylogic_epi32(_mm512_srli_epi16(x, 4), low, table, 0xea));
    }
}

alignas(64) constexpr uint16_t kLowWords[] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                              32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};

// Halves of blocks as they meet all queries: which of their rows there are, and what those add to their scores.
template <bool kSided, bool kErr, size_t kHalves>
struct Rows {
    __mmask16 there[kHalves];
    __m512 mul[kHalves], add[kHalves], err[kHalves];

    Rows(const TileArgs& a, size_t row) {
        for (size_t h = 0; h < kHalves; ++h) {
            const size_t first = row + h * 16, n = first < a.n ? a.n - first : 0;
            there[h] = n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1);
            const auto side = [&](const float* x) { return _mm512_maskz_loadu_ps(there[h], x + (n > 0 ? first : 0)); };
            if constexpr (kSided) mul[h] = side(a.mul), add[h] = side(a.add);
            if constexpr (kErr) err[h] = side(a.err);
        }
    }
};

// A panel; its lanes' sums start from what they must be below, as a negative number, or from zero where scores decide.
// sums: so far, of each kQueries lanes.
struct Panel {
    const TileArgs& a;
    size_t lanes, positions;
    int32_t starts[kMost] = {};
    __m512i sums[kMost / kQueries][kQueries * kMostHalves];
    Turned codes;
    Panel(const TileArgs& args, size_t n) : a(args), lanes(n), positions(padded(args.dim)) {}
};

// kQueries lanes and halves of blocks, from `lane` and `row` on. Sum i is query i / kHalves's of half i % kHalves.
template <bool kSided, bool kErr, size_t kHalves>
struct Meeting {
    const Panel& panel;
    const Rows<kSided, kErr, kHalves>& rows;
    size_t row, lane;
    static constexpr size_t kSums = kQueries * kHalves;

    __m512 score(size_t i, __m512i sum) const {
        const TileArgs& a = panel.a;
        const size_t at = lane + i / kHalves, h = i % kHalves;
        const __m512 dot = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(panel.starts[at])));
        __m512 x = _mm512_fmadd_ps(dot, _mm512_set1_ps(a.scales[at]), _mm512_set1_ps(a.offsets[at]));
        if constexpr (kSided) x = _mm512_fmadd_ps(x, rows.mul[h], rows.add[h]);
        if constexpr (kErr) x = _mm512_fmadd_ps(_mm512_set1_ps(a.errors[at]), rows.err[h], x);
        return x;
    }
    __mmask16 within(size_t i, __m512 score) const {
        const __m512 bound = _mm512_set1_ps(panel.a.bounds[lane + i / kHalves]);
        return _mm512_mask_cmp_ps_mask(rows.there[i % kHalves], score, bound, _CMP_LE_OQ);
    }
    // Whether a row may be a hit of a query, or all scores are asked for.
    [[gnu::always_inline]] bool any(const __m512i (&sums)[kSums]) const {
        if (panel.a.scores != nullptr) return true;
        if constexpr (kSided) {
            __mmask16 some = 0;
#pragma GCC unroll 16
            for (size_t i = 0; i < kSums; ++i) some |= within(i, score(i, sums[i]));
            return some != 0;
        } else {
            __m512i below = _mm512_setzero_si512();  // its signs tell
#pragma GCC unroll 8
            for (size_t i = 0; i < kSums; i += 2) below = _mm512_ternarylogic_epi32(below, sums[i], sums[i + 1], 0xfe);
            return _mm512_movepi32_mask(below) != 0;
        }
    }
    void store(const __m512i* sums) const {
        const size_t used = panel.lanes - lane < kQueries ? panel.lanes - lane : kQueries;
        for (size_t i = 0; i < used * kHalves; ++i)
            _mm512_mask_storeu_ps(panel.a.scores + (lane + i / kHalves) * panel.a.n + row + i % kHalves * 16,
                                  rows.there[i % kHalves], score(i, sums[i]));
    }
    // Rows that do not exist have sums, too.
    [[gnu::always_inline]] void store_sums(const __m512i (&sums)[kSums]) const {
        const size_t apart = TileArgs::words(panel.a.n) * TileArgs::kWord;
        const __m512i low = _mm512_load_si512(kLowWords);
#pragma GCC unroll 8
        for (size_t i = 0; i < kSums; i += 2)
            _mm512_storeu_si512(panel.a.sums + (lane + i / kHalves) * apart + row + i % kHalves * 16,
                                _mm512_permutex2var_epi16(sums[i], low, sums[i + 1]));
    }
    // The signs of sums.
    [[gnu::always_inline]] void store_near(const __m512i (&sums)[kSums]) const {
        const size_t apart = TileArgs::words(panel.a.n);
        const __m512i high = _mm512_add_epi16(_mm512_load_si512(kLowWords), _mm512_set1_epi16(1));
#pragma GCC unroll 8
        for (size_t i = 0; i < kSums; i += 2) {
            const __mmask32 half = _mm512_movepi16_mask(_mm512_permutex2var_epi16(sums[i], high, sums[i + 1]));
            uint64_t* to = panel.a.near + (lane + i / kHalves) * apart + row / TileArgs::kWord;
            __builtin_memcpy(reinterpret_cast<char*>(to) + i % kHalves * 2, &half, sizeof half);
        }
    }
    // Without a branch until all are known: most often it is one row of one query.
    [[gnu::noinline]] size_t report(const __m512i* sums, TileHit* hits) const {
        alignas(64) float scores[kSums * 16];
        uint64_t near[kSums / 4] = {};
#pragma GCC unroll 16
        for (size_t i = 0; i < kSums; ++i) {
            const __m512 x = score(i, sums[i]);
            _mm512_store_ps(scores + i * 16, x);
            near[i / 4] |= uint64_t(within(i, x)) << i % 4 * 16;
        }
        size_t found = 0;
        for (size_t word = 0; word < kSums / 4; ++word)
            for (uint64_t some = near[word]; some != 0; some &= some - 1) {
                constexpr size_t kOfQuery = kHalves * 16;
                const size_t at = word * 64 + size_t(__builtin_ctzll(some));
                hits[found++] = {scores[at], uint32_t(row + at % kOfQuery), uint32_t(lane + at / kOfQuery)};
            }
        return found;
    }
};

// Left to itself, GCC 12 loads a table again for each half that looks up there, and loads get scarce.
[[gnu::always_inline]] inline __m512i load_once(const uint8_t* x) {
    __m512i out = load(x);
    asm("" : "+v"(out));
    return out;
}

// Adds the look-ups of so many registers of positions.
template <bool kFit, size_t kHalves>
[[gnu::always_inline]] inline void add_up(const uint8_t* tables, const Turned& codes, size_t registers,
                                          __m512i (&sums)[kQueries * kHalves]) {
    const __m512i ones = _mm512_set1_epi8(1);
    for (size_t p = 0; p < registers; p += kStep, tables += kStep * kQueries * 64) {
        __m512i code[kStep][kHalves];
#pragma GCC unroll 2
        for (size_t s = 0; s < kStep; ++s)
#pragma GCC unroll 4
            for (size_t h = 0; h < kHalves; ++h) code[s][h] = load(codes.of[p + s][h]);
#pragma GCC unroll 4
        for (size_t i = 0; i < kQueries; ++i) {
            const __m512i first = load_once(tables + i * 64), second = load_once(tables + (kQueries + i) * 64);
#pragma GCC unroll 4
            for (size_t h = 0; h < kHalves; ++h) {
                const __m512i x = _mm512_permutexvar_epi8(code[0][h], first);
                const __m512i y = _mm512_permutexvar_epi8(code[1][h], second);
                __m512i& sum = sums[i * kHalves + h];
                if constexpr (kFit)
                    sum = _mm512_dpbusd_epi32(sum, _mm512_add_epi8(x, y), ones);
                else
                    sum = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, x, ones), y, ones);
            }
        }
    }
}

// The panel meets so many halves of blocks; returns the number of hits.
template <bool kFit, bool kSided, bool kErr, size_t kHalves>
size_t meet(Panel& panel, size_t row, TileHit* hits) {
    const TileArgs& a = panel.a;
    const Rows<kSided, kErr, kHalves> rows(a, row);
    const auto* block = static_cast<const uint8_t*>(a.rows) + row / kBlockRows * a.dim * 16;
    size_t found = 0;
    for (size_t p = 0; p < panel.positions; p += kChunk) {
        const size_t some = panel.positions - p < kChunk ? panel.positions - p : kChunk;
        const size_t stored = a.dim - p < some ? a.dim - p : some;
        const bool last = p + some == panel.positions;
        for (size_t h = 0; h < kHalves; h += 2) turn(block + (h / 2 * a.dim + p) * 16, some, stored, h, panel.codes);
        const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader + p * kQueries * 16;
        for (size_t lane = 0; lane < panel.lanes; lane += kQueries, tables += panel.positions * kQueries * 16) {
            __m512i *kept = panel.sums[lane / kQueries], sums[kQueries * kHalves];
#pragma GCC unroll 16
            for (size_t i = 0; i < kQueries * kHalves; ++i)
                sums[i] = p == 0 ? _mm512_set1_epi32(panel.starts[lane + i / kHalves]) : kept[i];
            add_up<kFit, kHalves>(tables, panel.codes, some / kTogether, sums);
            const Meeting<kSided, kErr, kHalves> meeting{panel, rows, row, lane};
            if (!kSided && last && (a.sums != nullptr || a.near != nullptr)) {
                a.sums != nullptr ? meeting.store_sums(sums) : meeting.store_near(sums);
                continue;
            }
            if (last && !meeting.any(sums)) continue;
#pragma GCC unroll 16
            for (size_t i = 0; i < kQueries * kHalves; ++i) kept[i] = sums[i];
            if (!last) continue;
            if (a.scores != nullptr)
                meeting.store(kept);
            else
                found += meeting.report(kept, hits + found);
        }
    }
    return found;
}

template <bool kFit, bool kSided, bool kErr>
TileResult run(const TileArgs& a, size_t lanes) {
    Panel panel(a, lanes);
    if (!kSided && a.scores == nullptr && a.sums == nullptr) {
        uint16_t thresholds[kMost];
        nibbles::find_thresholds(a, lanes, thresholds);
        for (size_t i = 0; i < lanes; ++i) panel.starts[i] = -1 - int32_t(thresholds[i]);
    }
    size_t hits = 0;
    for (size_t row = a.first; row < a.n; row += kRows) {
        if (hits >= a.pause || hits + lanes * kRows > a.capacity) return {row, hits};
        hits += a.n - row > kBlockRows ? meet<kFit, kSided, kErr, kMostHalves>(panel, row, a.hits + hits)
                                       : meet<kFit, kSided, kErr, 2>(panel, row, a.hits + hits);
    }
    if (a.near != nullptr && a.n % TileArgs::kWord != 0)
        for (size_t lane = 1; lane <= lanes; ++lane)
            a.near[lane * TileArgs::words(a.n) - 1] &= (uint64_t(1) << a.n % TileArgs::kWord) - 1;
    return {a.n, hits};
}

TileResult run(const TileArgs& a) {
    Header header;
    __builtin_memcpy(&header, a.panel, sizeof header);
    const auto choose = [&]<bool kFit>() {
        if (a.mul == nullptr) return run<kFit, false, false>(a, header.lanes);
        return a.err != nullptr ? run<kFit, true, true>(a, header.lanes) : run<kFit, true, false>(a, header.lanes);
    };
    return header.fit != 0 ? choose.template operator()<true>() : choose.template operator()<false>();
}

template <size_t kLanes>
constexpr Tile tile() {
    static_assert(kLanes <= kMost && kLanes % kQueries == 0 && kLanes * kRows <= kMinHits);
    return {kLanes, panel_bytes<kLanes>, pack_queries, nullptr, nullptr, nullptr, run, true, true};
}

}  // namespace nibbles_vbmi
}  // namespace
}  // namespace annkit::simd
