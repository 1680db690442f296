// Tiles of nibbles for several queries, with VBMI and VNNI: a register holds a query's tables at four positions, 64
// bytes, and one shuffle of bytes looks up the codes of 16 rows there; a dot product with ones adds the four up. Codes
// are turned so that a row's four lie side by side, once for all queries; each knows which of the tables is its own.
// Bottleneck: the unit or two that shuffle bytes across a register, and beside them what adds. Look-ups at positions 4
// apart are added as bytes first where they fit, which saves half of the dot products.
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
inline constexpr size_t kBlocks = 2;    // that share tables in the cache
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

// Codes of up to kChunk positions of a block: four positions of rows 0 to 15, the same of rows 16 to 31, and so on.
struct Turned {
    alignas(64) uint8_t of[kBlocks][kChunk / kTogether][2][64];
};

// stored: how many of the positions there are codes of; the others' are 0.
void turn(const uint8_t* block, size_t positions, size_t stored, uint8_t (*out)[2][64]) {
    alignas(64) uint8_t order[64];
    for (size_t i = 0; i < 64; ++i) order[i] = uint8_t(i % 4 * 16 + i / 4);
    const __m512i turned = load(order), table = _mm512_set1_epi32(0x30201000), low = _mm512_set1_epi8(15);
    for (size_t p = 0; p < positions; p += kTogether, ++out) {
        __builtin_prefetch(block + p * 16 + kFetchAhead);
        const size_t there = p >= stored ? 0 : (stored - p) * 16;
        const __mmask64 some = there >= 64 ? ~__mmask64(0) : (__mmask64(1) << there) - 1;
        const __m512i x =
            _mm512_permutexvar_epi8(turned, _mm512_maskz_loadu_epi8(some, block + (there > 0 ? p : 0) * 16));
        // low nibbles, and then high ones, beside their tables' numbers: (x & low) | table
        _mm512_store_si512((*out)[0], _mm512_ternarylogic_epi32(x, low, table, 0xea));
        _mm512_store_si512((*out)[1], _mm512_ternarylogic_epi32(_mm512_srli_epi16(x, 4), low, table, 0xea));
    }
}

// Rows of a block as they meet all queries: which of them there are, and what they add to their scores.
template <bool kSided, bool kErr>
struct Block {
    __mmask16 there[2];
    __m512 mul[2], add[2], err[2];

    Block(const TileArgs& a, size_t row) {
        for (size_t h = 0; h < 2; ++h) {
            const size_t first = row + h * 16, n = first < a.n ? a.n - first : 0;
            there[h] = n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1);
            const auto side = [&](const float* x) { return _mm512_maskz_loadu_ps(there[h], x + (n > 0 ? first : 0)); };
            if constexpr (kSided) mul[h] = side(a.mul), add[h] = side(a.add);
            if constexpr (kErr) err[h] = side(a.err);
        }
    }
};

// Sums of kQueries, from `lane` on, for the two halves of a block.
struct Sums {
    __m512i of[kQueries][2];
};

template <bool kSided, bool kErr>
struct Meeting {
    const TileArgs& a;
    const Block<kSided, kErr>& block;
    const int32_t* limits;  // what a query's sums must be below; used where scores are not sided
    size_t lane;

    __m512 score(size_t i, size_t h, __m512i sum) const {
        const size_t at = lane + i;
        __m512 x =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(a.scales[at]), _mm512_set1_ps(a.offsets[at]));
        if constexpr (kSided) x = _mm512_fmadd_ps(x, block.mul[h], block.add[h]);
        if constexpr (kErr) x = _mm512_fmadd_ps(_mm512_set1_ps(a.errors[at]), block.err[h], x);
        return x;
    }
    // Whether a row may be a hit of a query, or all scores are asked for.
    [[gnu::always_inline]] bool any(const __m512i (&sums)[kQueries][2]) const {
        if (a.scores != nullptr) return true;
        if constexpr (kSided) {
            __mmask16 within = 0;
#pragma GCC unroll 8
            for (size_t i = 0; i < 2 * kQueries; ++i) {
                const __m512 bound = _mm512_set1_ps(a.bounds[lane + i / 2]);
                within |= _mm512_cmp_ps_mask(score(i / 2, i % 2, sums[i / 2][i % 2]), bound, _CMP_LE_OQ);
            }
            return within != 0;
        } else {
            __m512i below = _mm512_setzero_si512();  // its signs tell
#pragma GCC unroll 4
            for (size_t i = 0; i < kQueries; ++i) {
                const __m512i limit = _mm512_set1_epi32(limits[lane + i]);
                below = _mm512_ternarylogic_epi32(below, _mm512_sub_epi32(sums[i][0], limit),
                                                  _mm512_sub_epi32(sums[i][1], limit), 0xfe);
            }
            return _mm512_movepi32_mask(below) != 0;
        }
    }
    void store(size_t row, size_t used, const Sums& sums) const {
        for (size_t i = 0; i < 2 * used; ++i)
            _mm512_mask_storeu_ps(a.scores + (lane + i / 2) * a.n + row + i % 2 * 16, block.there[i % 2],
                                  score(i / 2, i % 2, sums.of[i / 2][i % 2]));
    }
    [[gnu::noinline]] size_t report(size_t row, size_t used, const Sums& sums, TileHit* hits) const {
        size_t found = 0;
        for (size_t i = 0; i < 2 * used; ++i) {
            const size_t at = lane + i / 2, h = i % 2;
            const __m512i sum = sums.of[i / 2][h];
            __mmask16 some = block.there[h];
            if constexpr (!kSided) some = _mm512_mask_cmplt_epi32_mask(some, sum, _mm512_set1_epi32(limits[at]));
            if (some == 0) continue;
            const __m512 scores = score(i / 2, h, sum);
            uint32_t near = _mm512_mask_cmp_ps_mask(some, scores, _mm512_set1_ps(a.bounds[at]), _CMP_LE_OQ);
            for (; near != 0; near &= near - 1) {
                const auto r = size_t(__builtin_ctz(near));
                hits[found++] = {reinterpret_cast<const float*>(&scores)[r], uint32_t(row + h * 16 + r), uint32_t(at)};
            }
        }
        return found;
    }
};

// Adds the look-ups of so many registers of positions: to the sums so far, or to zero where those are the first. After
// the last, returns whether any may be a hit; if not, sums are not written.
template <bool kFit, bool kSided, bool kErr>
[[gnu::always_inline]] inline bool add_up(const uint8_t* tables, const uint8_t (*codes)[2][64], size_t registers,
                                          bool first, bool last, const Meeting<kSided, kErr>& meeting, Sums& sums) {
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i acc[kQueries][2];
#pragma GCC unroll 8
    for (size_t i = 0; i < 2 * kQueries; ++i) acc[i / 2][i % 2] = _mm512_setzero_si512();
    if (!first)
#pragma GCC unroll 8
        for (size_t i = 0; i < 2 * kQueries; ++i) acc[i / 2][i % 2] = sums.of[i / 2][i % 2];
    for (size_t p = 0; p < registers; p += kStep, codes += kStep) {
        __m512i part[kQueries][2];
#pragma GCC unroll 2
        for (size_t s = 0; s < kStep; ++s, tables += kQueries * 64)
#pragma GCC unroll 2
            for (size_t h = 0; h < 2; ++h) {
                const __m512i code = load(codes[s][h]);
#pragma GCC unroll 4
                for (size_t i = 0; i < kQueries; ++i) {
                    const __m512i found = _mm512_permutexvar_epi8(code, load(tables + i * 64));
                    if constexpr (!kFit)
                        acc[i][h] = _mm512_dpbusd_epi32(acc[i][h], found, ones);
                    else
                        part[i][h] = s == 0 ? found : _mm512_add_epi8(part[i][h], found);
                }
            }
        if constexpr (kFit)
#pragma GCC unroll 8
            for (size_t i = 0; i < 2 * kQueries; ++i)
                acc[i / 2][i % 2] = _mm512_dpbusd_epi32(acc[i / 2][i % 2], part[i / 2][i % 2], ones);
    }
    if (last && !meeting.any(acc)) return false;
#pragma GCC unroll 8
    for (size_t i = 0; i < 2 * kQueries; ++i) sums.of[i / 2][i % 2] = acc[i / 2][i % 2];
    return last;
}

template <bool kFit, bool kSided, bool kErr>
TileResult run(const TileArgs& a, size_t lanes) {
    int32_t limits[kMost] = {};
    if constexpr (!kSided) {
        uint16_t thresholds[kMost];
        nibbles::find_thresholds(a, lanes, thresholds);
        for (size_t i = 0; i < lanes; ++i) limits[i] = 1 + int32_t(thresholds[i]);
    }
    const size_t positions = padded(a.dim);
    Turned codes;
    Sums sums[kBlocks][kMost / kQueries];
    size_t hits = 0;
    for (size_t row = a.first; row < a.n; row += kRows) {
        if (hits >= a.pause || hits + lanes * kRows > a.capacity) return {row, hits};
        const size_t blocks = a.n - row > kBlockRows ? kBlocks : 1;
        const auto* block = static_cast<const uint8_t*>(a.rows) + row / kBlockRows * a.dim * 16;
        const Block<kSided, kErr> sides[] = {{a, row}, {a, row + kBlockRows}};
        for (size_t p = 0; p < positions; p += kChunk) {
            const size_t some = positions - p < kChunk ? positions - p : kChunk;
            const size_t stored = a.dim - p < some ? a.dim - p : some;
            for (size_t b = 0; b < blocks; ++b) turn(block + (b * a.dim + p) * 16, some, stored, codes.of[b]);
            const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader + p * kQueries * 16;
            for (size_t quad = 0; quad * kQueries < lanes; ++quad, tables += positions * kQueries * 16)
                for (size_t b = 0; b < blocks; ++b) {
                    const Meeting<kSided, kErr> meeting{a, sides[b], limits, quad * kQueries};
                    if (!add_up<kFit>(tables, codes.of[b], some / kTogether, p == 0, p + some == positions, meeting,
                                      sums[b][quad]))
                        continue;
                    const size_t first = row + b * kBlockRows, left = lanes - quad * kQueries;
                    const size_t used = left < kQueries ? left : kQueries;
                    if (a.scores != nullptr)
                        meeting.store(first, used, sums[b][quad]);
                    else
                        hits += meeting.report(first, used, sums[b][quad], a.hits + hits);
                }
        }
    }
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
    return {kLanes, panel_bytes<kLanes>, pack_queries, nullptr, nullptr, nullptr, run, true};
}

}  // namespace nibbles_vbmi
}  // namespace
}  // namespace annkit::simd
