// Tiles of bytes that name entries of tables, with VBMI: a table of 256 bytes fills four registers, and two shuffles
// and a blend look up 64 rows at once. Blocks of 64 rows are turned once for all queries, so that a group's codes lie
// side by side. Bottleneck: the units with 512 bits, seven operations for 64 look-ups.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibbles_avx512.h"

namespace annkit::simd {
namespace {
namespace byte_tables {

using nibbles::V512;
using Base = nibbles::Vectors<V512>;
using Words = V512::Words;

inline constexpr size_t kBlock = 64;  // rows
inline constexpr size_t kBlocks = 2;  // that share a table in registers
inline constexpr size_t kEntries = 256;
inline constexpr size_t kHeader = 64;

struct Turned {
    alignas(64) uint8_t of[kBlocks][kMostGroups][kBlock];
};
struct Sums {
    Words even, odd;  // of the rows with even numbers, and with odd ones
};

template <size_t kLanes>
size_t panel_bytes(size_t dim) {
    return kHeader + kLanes * dim * kEntries;
}

void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    const uint64_t lanes = n;
    __builtin_memcpy(panel, &lanes, sizeof lanes);
    auto* to = static_cast<uint8_t*>(panel) + kHeader;
    for (size_t lane = 0; lane < n; ++lane) __builtin_memcpy(to + lane * dim * kEntries, queries[lane], dim * kEntries);
}

// Rows i, 16 + i, 32 + i and 48 + i in a register each; then four times the lower and the upper halves of registers i
// and i + 8 are interleaved.
void turn(const uint8_t* rows, size_t stride, size_t n, size_t dim, uint8_t (&out)[kMostGroups][kBlock]) {
    for (size_t g = 0; g < dim; g += 16) {
        const auto some = __mmask16(dim - g < 16 ? (1u << (dim - g)) - 1 : 0xffff);
        const auto row = [&](size_t i) {
            return i < n ? _mm_maskz_loadu_epi8(some, rows + i * stride + g) : _mm_setzero_si128();
        };
        __m512i x[16], y[16];
#pragma GCC unroll 16
        for (size_t i = 0; i < 16; ++i) {
            const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(row(i)), row(16 + i), 1);
            const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(row(32 + i)), row(48 + i), 1);
            x[i] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        }
        const auto interleave = [](const __m512i(&a)[16], __m512i(&b)[16]) {
#pragma GCC unroll 8
            for (size_t i = 0; i < 8; ++i) {
                b[2 * i] = _mm512_unpacklo_epi8(a[i], a[i + 8]);
                b[2 * i + 1] = _mm512_unpackhi_epi8(a[i], a[i + 8]);
            }
        };
        interleave(x, y), interleave(y, x), interleave(x, y), interleave(y, x);
        for (size_t i = 0; i < 16 && g + i < dim; ++i) _mm512_store_si512(out[g + i], x[i]);
    }
}

template <size_t kUsed>
[[gnu::noinline]] void accumulate(const uint8_t* tables, const Turned& codes, size_t dim, Sums* sums) {
    Words all[kUsed], upper[kUsed];
#pragma GCC unroll 2
    for (size_t b = 0; b < kUsed; ++b) all[b] = upper[b] = Words{};
    for (size_t g = 0; g < dim; ++g, tables += kEntries) {
        const __m512i first = _mm512_loadu_si512(tables), second = _mm512_loadu_si512(tables + 64);
        const __m512i third = _mm512_loadu_si512(tables + 128), fourth = _mm512_loadu_si512(tables + 192);
#pragma GCC unroll 2
        for (size_t b = 0; b < kUsed; ++b) {
            const __m512i code = _mm512_load_si512(codes.of[b][g]);
            const __m512i low = _mm512_permutex2var_epi8(first, code, second);
            const __m512i high = _mm512_permutex2var_epi8(third, code, fourth);
            const auto found = Words(_mm512_mask_blend_epi8(_mm512_movepi8_mask(code), low, high));
            all[b] += found;
            upper[b] += found >> 8;
        }
    }
#pragma GCC unroll 2
    for (size_t b = 0; b < kUsed; ++b) sums[b] = {all[b] - (upper[b] << 8), upper[b]};
}

// Scores the sums of a block; returns the number of hits.
size_t score(const TileArgs& a, size_t row, size_t lane, const Sums& sums, TileHit* hits) {
    alignas(64) static constexpr auto kOrder = [] {
        struct {
            uint16_t of[2][32];
        } order{};
        for (uint16_t i = 0; i < 64; ++i) order.of[i / 32][i % 32] = uint16_t(i % 2 * 32 + i / 2);
        return order;
    }();
    const __m512 scale = _mm512_set1_ps(a.scales[lane]), offset = _mm512_set1_ps(a.offsets[lane]);
    const __m512 bound = _mm512_set1_ps(a.bounds[lane]);
    size_t found = 0;
    for (size_t i = 0; i < 4 && row + i * 16 < a.n; ++i) {
        const size_t first = row + i * 16;
        const auto exist = __mmask16(a.n - first < 16 ? (1u << (a.n - first)) - 1 : 0xffff);
        const auto words = Words(
            _mm512_permutex2var_epi16(__m512i(sums.even), _mm512_load_si512(kOrder.of[i / 2]), __m512i(sums.odd)));
        __m512 x = _mm512_fmadd_ps(V512::half_to_floats(words, i % 2), scale, offset);
        if (a.mul != nullptr)
            x = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(exist, a.mul + first),
                                _mm512_maskz_loadu_ps(exist, a.add + first));
        if (a.err != nullptr)
            x = _mm512_fmadd_ps(_mm512_set1_ps(a.errors[lane]), _mm512_maskz_loadu_ps(exist, a.err + first), x);
        if (a.scores != nullptr) {
            _mm512_mask_storeu_ps(a.scores + lane * a.n + first, exist, x);
            continue;
        }
        uint32_t within = _mm512_mask_cmp_ps_mask(exist, x, bound, _CMP_LE_OQ);
        if (within == 0) continue;
        float scores[16];
        _mm512_storeu_ps(scores, x);
        for (; within != 0; within &= within - 1) {
            const auto t = uint32_t(__builtin_ctz(within));
            hits[found++] = {scores[t], uint32_t(first + t), uint32_t(lane)};
        }
    }
    return found;
}

TileResult run(const TileArgs& a) {
    uint64_t lanes;
    __builtin_memcpy(&lanes, a.panel, sizeof lanes);
    uint16_t thresholds[kMaxLanes];
    if (a.mul == nullptr) nibbles::find_thresholds(a, lanes, thresholds);
    Turned codes;
    size_t hits = 0;
    for (size_t row = a.first; row < a.n; row += kBlocks * kBlock) {
        if (hits >= a.pause || hits + lanes * kBlocks * kBlock > a.capacity) return {row, hits};
        const size_t blocks = a.n - row > kBlock ? kBlocks : 1;
        for (size_t b = 0; b < blocks; ++b) {
            const size_t first = row + b * kBlock;
            turn(static_cast<const uint8_t*>(a.rows) + first * a.stride, a.stride,
                 a.n - first < kBlock ? a.n - first : kBlock, a.dim, codes.of[b]);
        }
        const auto* tables = static_cast<const uint8_t*>(a.panel) + kHeader;
        for (size_t lane = 0; lane < lanes; ++lane, tables += a.dim * kEntries) {
            Sums sums[kBlocks];
            (blocks == 1 ? accumulate<1> : accumulate<kBlocks>)(tables, codes, a.dim, sums);
            for (size_t b = 0; b < blocks; ++b) {
                const Words least = V512::min16(sums[b].even, sums[b].odd);
                const bool filtered = a.mul == nullptr && a.scores == nullptr;
                if (filtered && V512::at_most(least, Words{} + thresholds[lane]) == 0) continue;
                hits += score(a, row + b * kBlock, lane, sums[b], a.hits + hits);
            }
        }
    }
    return {a.n, hits};
}

template <size_t kLanes>
constexpr Tile tile() {
    static_assert(kLanes * kBlocks * kBlock <= kMinHits);
    return {kLanes, panel_bytes<kLanes>, pack_queries, nullptr, nullptr, nullptr, run, true};
}

}  // namespace byte_tables

void fill_byte_tables(Kernels& k) {
    k.byte_tables = {byte_tables::tile<16>(), byte_tables::tile<4>(), byte_tables::tile<1>()};
}

}  // namespace
}  // namespace annkit::simd
