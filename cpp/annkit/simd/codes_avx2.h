// Tiles of byte codes with AVX2.
// Bottleneck: the vector units: a vpmaddubsw, a vpmaddwd and a vpaddd for 32 products (Sapphire Rapids: 112 of at most
// 122 G a second). vpmaddubsw saturates sums of two products
// beyond 32,767: with queries of at most 64 in size none is larger than 2 * 255 * 64 = 32,640.
#pragma once

#include <immintrin.h>

#include "annkit/simd/byte_codes.h"
#include "annkit/simd/bytes_avx2.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace byte_codes {

using bytes::Sums;

size_t groups(size_t dim) { return (dim + 3) / 4; }

Sums multiply(Sums sum, __m256i codes, __m256i query) {
    return sum + Sums(_mm256_madd_epi16(_mm256_maddubs_epi16(codes, query), _mm256_set1_epi16(1)));
}

// Wide and narrow: four bytes of a row are broadcast against those of 8 queries, kVectors times.
// Panel: groups of four elements of all lanes, zeros as padding.
template <size_t kVectors>
size_t panel_bytes(size_t dim) {
    return groups(dim) * kVectors * 32;
}

template <size_t kVectors>
void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    constexpr size_t kLanes = kVectors * 8;
    __builtin_memset(panel, 0, panel_bytes<kVectors>(dim));
    for (size_t lane = 0; lane < n; ++lane) {
        const auto* q = static_cast<const int8_t*>(queries[lane]);
        auto* to = static_cast<int8_t*>(panel) + 4 * lane;
        for (size_t j = 0; j + 4 <= dim; j += 4) __builtin_memcpy(to + j * kLanes, q + j, 4);
        for (size_t j = dim / 4 * 4; j < dim; ++j) to[dim / 4 * 4 * kLanes + j % 4] = q[j];
    }
}

// The offsets of queries with what a row's heavy codes add to them.
template <size_t kVectors>
[[gnu::always_inline]] inline void heavy_offsets(const TileArgs& a, const uint8_t* row, __m256 (&out)[kVectors]) {
#pragma GCC unroll 2
    for (size_t v = 0; v < kVectors; ++v) out[v] = _mm256_loadu_ps(a.offsets + 8 * v);
    const float* weights = a.heavy_weights;
    for (size_t i = 0; i < a.heavy; ++i, weights += 8 * kVectors) {
        const __m256 code = _mm256_set1_ps(float(row[a.heavy_at[i]]));
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) out[v] = _mm256_fmadd_ps(code, _mm256_loadu_ps(weights + 8 * v), out[v]);
    }
}

// kRows rows from row on against all lanes, or of them those that exist (kWhole: all do); returns the number of hits.
template <size_t kVectors, size_t kRows, bool kErr, bool kHeavy, bool kWhole>
size_t block(const TileArgs& a, size_t row, Sides sides, TileHit* hits) {
    const auto* panel = static_cast<const __m256i*>(a.panel);
    const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    size_t offset[kRows];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) offset[r] = (kWhole || row + r < a.n ? r : a.n - 1 - row) * a.stride;
    Sums acc[kRows][kVectors];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) acc[r][v] = Sums{};
    size_t left = groups(a.dim);
    do {
#pragma GCC unroll 16
        for (size_t r = 0; r < kRows; ++r) {
            int32_t part;
            __builtin_memcpy(&part, x + offset[r], 4);
#pragma GCC unroll 2
            for (size_t v = 0; v < kVectors; ++v) acc[r][v] = multiply(acc[r][v], _mm256_set1_epi32(part), panel[v]);
        }
        x += 4;
        panel += kVectors;
    } while (--left > 0);
    const auto* codes = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    __m256 scores[kRows * kVectors];
    __m256 any = _mm256_setzero_ps();
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
        __m256 from[kVectors];
        if constexpr (kHeavy) heavy_offsets<kVectors>(a, codes + offset[r], from);
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) {
            const __m256 dot = _mm256_cvtepi32_ps(__m256i(acc[r][v]));
            if constexpr (!kHeavy) from[v] = _mm256_loadu_ps(a.offsets + 8 * v);
            __m256 score = _mm256_fmadd_ps(dot, _mm256_loadu_ps(a.scales + 8 * v), from[v]);
            score = _mm256_fmadd_ps(score, _mm256_set1_ps(sides.mul[r]), _mm256_set1_ps(sides.add[r]));
            if constexpr (kErr)
                score = _mm256_fmadd_ps(_mm256_loadu_ps(a.errors + 8 * v), _mm256_set1_ps(sides.err[r]), score);
            any = _mm256_or_ps(any, _mm256_cmp_ps(score, _mm256_loadu_ps(a.bounds + 8 * v), _CMP_LE_OQ));
            scores[r * kVectors + v] = score;
        }
    }
    return _mm256_movemask_ps(any) == 0 ? 0 : bytes::report(a, row, kVectors, kRows, scores, hits);
}

template <size_t kVectors, bool kErr, bool kHeavy>
TileResult run_rows(const TileArgs& a) {
    constexpr size_t kRows = 12 / kVectors, kLast = 4;
    constexpr size_t kMost = 12 * 8;
    size_t hits = 0, row = a.first;
    for (; row + kRows <= a.n; row += kRows) {
        if (hits >= a.pause || hits + kMost > a.capacity) return {row, hits};
        if (a.far) fetch_ahead(a, row, kRows);
        const Sides sides{a.mul + row, a.add + row, kErr ? a.err + row : nullptr};
        hits += block<kVectors, kRows, kErr, kHeavy, true>(a, row, sides, a.hits + hits);
    }
    for (; row < a.n; row += kLast) {
        if (hits >= a.pause || hits + kMost > a.capacity) return {row, hits};
        const LastSides<kLast> last(a, row, a.n - row);
        hits += block<kVectors, kLast, kErr, kHeavy, false>(a, row, {last.mul, last.add, last.err}, a.hits + hits);
    }
    return {a.n, hits};
}

template <size_t kVectors>
TileResult run(const TileArgs& a) {
    if (a.err == nullptr) return run_rows<kVectors, false, false>(a);
    return a.heavy > 0 ? run_rows<kVectors, true, true>(a) : run_rows<kVectors, true, false>(a);
}

// The dots of kQueries queries with 8 / kQueries rows, those of the first query first.
template <size_t kQueries, bool kWhole>
__m256i few_dots(const TileArgs& a, size_t row) {
    constexpr size_t kRows = 8 / kQueries;
    const auto* q = static_cast<const int8_t*>(a.panel) + kHeader;
    const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    size_t offset[kRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < kRows; ++r) offset[r] = (kWhole || row + r < a.n ? r : a.n - 1 - row) * a.stride;
    const size_t width = padded<32>(a.dim);
    Sums acc[2][4] = {};
    const auto step = [&](auto load) __attribute__((always_inline)) {
#pragma GCC unroll 8
        for (size_t r = 0; r < kRows; ++r) {
            _mm_prefetch(x + offset[r] + kFetchAhead, _MM_HINT_T0);
            const __m256i codes = load(x + offset[r]);
#pragma GCC unroll 4
            for (size_t i = 0; i < kQueries; ++i) {
                const __m256i query = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + i * width));
                Sums& sum = acc[(i * kRows + r) / 4][(i * kRows + r) % 4];
                sum = multiply(sum, codes, query);
            }
        }
        q += 32;
        x += 32;
    };
    for (size_t i = 0; i + 32 <= a.dim; i += 32)
        step([](const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); });
    if (a.dim % 32 != 0) {
        const __m256i left = _mm256_set1_epi32(int(groups(a.dim % 32)));
        const __m256i mask = _mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        step([=](const uint8_t* p) { return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask); });
    }
    return _mm256_set_m128i(bytes::add_up(acc[1]), bytes::add_up(acc[0]));
}

// A number of each lane, or of each row, as few_dots has them.
template <size_t kQueries>
void spread_lanes(const float* x, size_t lanes, float rest, float (&out)[8]) {
    for (size_t i = 0; i < 8; ++i) {
        const size_t lane = i / (8 / kQueries);
        out[i] = lane < lanes ? x[lane] : rest;
    }
}
template <size_t kQueries>
__m256 spread_rows(const float* x) {
    if constexpr (kQueries == 1) return _mm256_loadu_ps(x);
    if constexpr (kQueries == 2) return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(x));
    if constexpr (kQueries == 4) return _mm256_setr_ps(x[0], x[1], x[0], x[1], x[0], x[1], x[0], x[1]);
}

// One code of each of 8 / kQueries rows, for each query.
template <size_t kQueries, bool kWhole>
__m256 codes_at(const TileArgs& a, size_t row, size_t at) {
    constexpr size_t kRows = 8 / kQueries;
    const auto* rows = static_cast<const uint8_t*>(a.rows) + row * a.stride + at;
    const auto x = [&](size_t r) {
        const size_t i = r % kRows;
        return int(rows[(kWhole || row + i < a.n ? i : a.n - 1 - row) * a.stride]);
    };
    __m128i codes = _mm_setzero_si128();
    codes = _mm_insert_epi8(codes, x(0), 0);
    codes = _mm_insert_epi8(codes, x(1), 1);
    if constexpr (kRows == 2)
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_set1_epi16(_mm_extract_epi16(codes, 0))));
    codes = _mm_insert_epi8(codes, x(2), 2);
    codes = _mm_insert_epi8(codes, x(3), 3);
    if constexpr (kRows == 4) return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_shuffle_epi32(codes, 0)));
    codes = _mm_insert_epi8(codes, x(4), 4);
    codes = _mm_insert_epi8(codes, x(5), 5);
    codes = _mm_insert_epi8(codes, x(6), 6);
    codes = _mm_insert_epi8(codes, x(7), 7);
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(codes));
}

template <size_t kQueries>
TileResult run_few(const TileArgs& a, size_t lanes) {
    constexpr size_t kRows = 8 / kQueries;
    float scales[8], offsets[8], errors[8] = {}, bounds[8];
    spread_lanes<kQueries>(a.scales, lanes, 0, scales);
    spread_lanes<kQueries>(a.offsets, lanes, 0, offsets);
    spread_lanes<kQueries>(a.bounds, lanes, __builtin_nanf(""), bounds);
    if (a.err != nullptr) spread_lanes<kQueries>(a.errors, lanes, 0, errors);
    float heavy[kMostHeavy][8];
    for (size_t i = 0; i < a.heavy; ++i) spread_lanes<kQueries>(a.heavy_weights + i * kFewLanes, lanes, 0, heavy[i]);
    size_t hits = 0;
    const auto finish = [&](size_t row, auto whole, Sides sides) {
        const __m256i dots = few_dots<kQueries, whole.kValue>(a, row);
        __m256 from = _mm256_loadu_ps(offsets);
        for (size_t i = 0; i < a.heavy; ++i)
            from = _mm256_fmadd_ps(codes_at<kQueries, whole.kValue>(a, row, a.heavy_at[i]), _mm256_loadu_ps(heavy[i]),
                                   from);
        __m256 score = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_loadu_ps(scales), from);
        score = _mm256_fmadd_ps(score, spread_rows<kQueries>(sides.mul), spread_rows<kQueries>(sides.add));
        if (sides.err != nullptr)
            score = _mm256_fmadd_ps(_mm256_loadu_ps(errors), spread_rows<kQueries>(sides.err), score);
        const __m256 within = _mm256_cmp_ps(score, _mm256_loadu_ps(bounds), _CMP_LE_OQ);
        auto mask = uint32_t(_mm256_movemask_ps(within));
        if (mask == 0 && a.scores == nullptr) return;
        alignas(32) float all[8];
        _mm256_store_ps(all, score);
        if (a.scores != nullptr) return store_lanes<kQueries>(a, row, all);
        for (; mask != 0; mask &= mask - 1) {
            const uint32_t i = _tzcnt_u32(mask);
            a.hits[hits++] = {all[i], uint32_t(row + i % kRows), uint32_t(i / kRows)};
        }
    };
    size_t row = a.first;
    for (; row + kRows <= a.n; row += kRows) {
        if (hits >= a.pause || hits + 8 > a.capacity) return {row, hits};
        finish(row, Whole<true>{}, {a.mul + row, a.add + row, a.err != nullptr ? a.err + row : nullptr});
    }
    if (row == a.n) return {a.n, hits};
    if (hits >= a.pause || hits + 8 > a.capacity) return {row, hits};
    const LastSides<kRows> last(a, row, a.n - row);
    finish(row, Whole<false>{}, {last.mul, last.add, last.err});
    return {a.n, hits};
}

TileResult run_single(const TileArgs& a) {
    uint64_t lanes;
    __builtin_memcpy(&lanes, a.panel, sizeof lanes);
    if (lanes <= 1) return run_few<1>(a, lanes);
    return lanes == 2 ? run_few<2>(a, lanes) : run_few<4>(a, lanes);
}

template <size_t kVectors>
constexpr Tile tile() {
    return {kVectors * 8, panel_bytes<kVectors>, pack_queries<kVectors>, nullptr, nullptr, nullptr, run<kVectors>};
}

}  // namespace byte_codes

void fill_byte_codes(Kernels& k) {
    using namespace byte_codes;
    k.byte_codes = {tile<2>(),
                    tile<1>(),
                    {kFewLanes, few_panel_bytes<32>, pack_few<32>, nullptr, nullptr, nullptr, run_single, true}};
    k.byte_query_levels = 64;
}

}  // namespace
}  // namespace annkit::simd
