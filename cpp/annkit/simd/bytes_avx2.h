// Bytes (u8, i8) with AVX2: rows, tiles and the bounds of 8-bit codes.
// Bottlenecks: tiles, the four vector units (a vpmaddwd and a vpaddd for 16 products): Zen 4, d=128, 660 M pairs a
// second, 85 of at most 117 G products. Rows and codes that follow each other, memory: 20-30 GB/s (35-44 in cache).
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace bytes {

// So many squares of differences of bytes fit int32: 255 * 255 * 32,768 < 2^31.
inline constexpr size_t kBlock = 32768;
inline constexpr size_t kShort = 256;  // see stream

// Sums of the type that the instructions have: as __m256i, of 64-bit lanes, GCC 12 keeps each twice and runs out of
// registers (tiles at half the speed).
using Sums [[gnu::vector_size(32)]] = uint32_t;

template <class Int>
uint64_t word(const void* x) {
    Int value;
    __builtin_memcpy(&value, x, sizeof value);
    return value;
}

// The first n < 16 bytes, then zeros; reads nothing else.
__m128i load_first(const void* from, size_t n) {
    const auto* x = static_cast<const uint8_t*>(from);
    if (n >= 8) {
        const uint64_t high = n == 8 ? 0 : word<uint64_t>(x + n - 8) >> (8 * (16 - n));
        return _mm_set_epi64x(int64_t(high), int64_t(word<uint64_t>(x)));
    }
    uint64_t low = 0;
    if (n >= 4)
        low = word<uint32_t>(x) | word<uint32_t>(x + n - 4) << (8 * (n - 4));
    else if (n >= 2)
        low = word<uint16_t>(x) | word<uint16_t>(x + n - 2) << (8 * (n - 2));
    else if (n == 1)
        low = *x;
    return _mm_cvtsi64_si128(int64_t(low));
}

// 16 elements as 16-bit numbers; or the first n < 16 of them, then zeros.
__m128i load(const void* x) { return _mm_loadu_si128(static_cast<const __m128i*>(x)); }
__m256i widen(const uint8_t* x) { return _mm256_cvtepu8_epi16(load(x)); }
__m256i widen(const int8_t* x) { return _mm256_cvtepi8_epi16(load(x)); }
__m256i widen(const int16_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
__m256i widen(const uint8_t* x, size_t n) { return _mm256_cvtepu8_epi16(load_first(x, n)); }
__m256i widen(const int8_t* x, size_t n) { return _mm256_cvtepi8_epi16(load_first(x, n)); }
__m256i widen(const int16_t* x, size_t) { return widen(x); }  // a query's codes: zeros follow

// Adds up each of four vectors.
__m128i add_up(const Sums (&sums)[4]) {
    __m256i x[4];
    for (int r = 0; r < 4; ++r) x[r] = __m256i(sums[r]);
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(x[0], x[1]), _mm256_hadd_epi32(x[2], x[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

// Writes the first n, or all four.
void store_first(float* out, __m128 x, size_t n) {
    if (n >= 4) return _mm_storeu_ps(out, x);
    alignas(16) float all[4];
    _mm_store_ps(all, x);
    for (size_t r = 0; r < n; ++r) out[r] = all[r];
}

template <bool kL2>
Sums step(Sums sum, __m256i q, __m256i x) {
    if constexpr (!kL2) return sum + Sums(_mm256_madd_epi16(q, x));
    const __m256i difference = _mm256_sub_epi16(q, x);
    return sum + Sums(_mm256_madd_epi16(difference, difference));
}

// Elements [from, to) of one row, at most kBlock of them.
template <bool kL2, class Q, class T>
Sums one(const Q* q, const T* x, size_t from, size_t to) {
    Sums sum[4] = {Sums{}, Sums{}, Sums{}, Sums{}};
    size_t i = from;
    for (; i + 64 <= to; i += 64)
#pragma GCC unroll 4
        for (size_t v = 0; v < 4; ++v) sum[v] = step<kL2>(sum[v], widen(q + i + 16 * v), widen(x + i + 16 * v));
    for (; i + 16 <= to; i += 16) sum[0] = step<kL2>(sum[0], widen(q + i), widen(x + i));
    if (i < to) sum[1] = step<kL2>(sum[1], widen(q + i, to - i), widen(x + i, to - i));
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The same of four rows at once, which share the query's loads; may prefetch those of four later rows.
template <bool kL2, bool kPrefetch, class Q, class T>
__m128i four(const Q* q, const T* const* x, const T* const* later, size_t from, size_t to) {
    Sums sum[4] = {Sums{}, Sums{}, Sums{}, Sums{}};
    size_t i = from;
    for (; i + 16 <= to; i += 16) {
        const __m256i a = widen(q + i);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            if (kPrefetch && (i - from) % 64 == 0) _mm_prefetch(later[r] + i, _MM_HINT_T0);
            sum[r] = step<kL2>(sum[r], a, widen(x[r] + i));
        }
    }
    if (i < to) {
        const __m256i a = widen(q + i, to - i);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            if (kPrefetch) _mm_prefetch(later[r] + i, _MM_HINT_T0);
            sum[r] = step<kL2>(sum[r], a, widen(x[r] + i, to - i));
        }
    }
    return add_up(sum);
}

// Four rows that follow each other, short ones at once, long ones one at a time.
template <bool kL2, class Q, class T>
__m128i stream(const Q* q, const T* const* x, size_t from, size_t to) {
    if (to - from <= kShort) return four<kL2, false>(q, x, x, from, to);
    return add_up({one<kL2>(q, x[0], from, to), one<kL2>(q, x[1], from, to), one<kL2>(q, x[2], from, to),
                   one<kL2>(q, x[3], from, to)});
}

// Scores of up to four rows, whose sums over a block of elements are exact in 32 bits.
template <bool kL2, class Sum4>
void score_four(size_t dim, size_t n, float* out, Sum4&& sums) {
    __m256d sum = _mm256_setzero_pd();  // exact, below 2^53: so the score is rounded once
    for (size_t from = 0; from < dim; from += kBlock) {
        const __m256d part = _mm256_cvtepi32_pd(sums(from, dim - from < kBlock ? dim : from + kBlock));
        sum = kL2 ? _mm256_add_pd(sum, part) : _mm256_sub_pd(sum, part);
    }
    store_first(out, _mm256_cvtpd_ps(sum), n);
}

// Beyond the last row: the last row again.
template <class T, bool kL2>
void score_rows(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    const auto* q = static_cast<const T*>(query);
    for (size_t i = 0; i < n; i += 4) {
        const T *x[4], *later[4];
        for (size_t r = 0; r < 4; ++r) {
            x[r] = static_cast<const T*>(rows[i + r < n ? i + r : n - 1]);
            later[r] = static_cast<const T*>(rows[i + r + 4 < n ? i + r + 4 : n - 1]);
        }
        score_four<kL2>(dim, n - i, out + i,
                        [&](size_t from, size_t to) { return four<kL2, true>(q, x, later, from, to); });
    }
}

// Rows that follow each other. Long ones go one at a time and without prefetches: four streams at once halve what
// memory delivers (d=768: 12 instead of 24 GB/s), and asking for what the machine sees coming costs 10 %.
template <class T, bool kL2>
void scan_rows(const void* query, const void* rows, size_t dim, size_t n, float* out) {
    const auto* q = static_cast<const T*>(query);
    for (size_t i = 0; i < n; i += 4) {
        const T* x[4];
        for (size_t r = 0; r < 4; ++r) x[r] = static_cast<const T*>(rows) + (i + r < n ? i + r : n - 1) * dim;
        score_four<kL2>(dim, n - i, out + i, [&](size_t from, size_t to) { return stream<kL2>(q, x, from, to); });
    }
}

// Tiles. vpmaddubsw would saturate, so rows are packed as 16-bit numbers (zeros up to a multiple of 16) and a pair of
// them is broadcast against the same pair of eight queries. Panel: pairs of elements of all lanes, zeros as padding.
size_t pairs(size_t dim) { return (dim + 1) / 2; }
size_t padded(size_t dim) { return (dim + 15) / 16 * 16; }
// Rows a multiple of 2 KB apart would share a few sets of the first cache.
size_t stride(size_t dim) { return padded(dim) * 2 + (padded(dim) % 1024 == 0 ? 64 : 0); }
// The last rows run four at a time, over up to three rows of padding.
size_t rows_bytes(size_t dim, size_t n) { return (n + 3) * stride(dim); }

template <class T>
void pack_rows(const void* const* rows, size_t n, size_t dim, void* out) {
    auto* to = static_cast<uint8_t*>(out);
    const size_t whole = dim / 16 * 16;
    for (size_t i = 0; i < n; ++i, to += stride(dim)) {
        const auto* x = static_cast<const T*>(rows[i]);
        for (size_t j = 0; j < whole; j += 16)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 * j), widen(x + j));
        if (whole < dim) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 2 * whole), widen(x + whole, dim - whole));
    }
}

template <size_t kVectors>
size_t panel_bytes(size_t dim) {
    return pairs(dim) * kVectors * 32;
}

template <class T, size_t kVectors>
void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    constexpr size_t kLanes = kVectors * 8;
    for (size_t lane = 0; lane < kLanes; ++lane) {
        const T* q = lane < n ? static_cast<const T*>(queries[lane]) : nullptr;
        auto* to = static_cast<int16_t*>(panel) + 2 * lane;
        for (size_t j = 0; j < pairs(dim) * 2; ++j)
            to[j / 2 * kLanes * 2 + j % 2] = q != nullptr && j < dim ? q[j] : int16_t(0);
    }
}

// Writes what lies within the bounds. Apart from block, whose registers would otherwise go to memory.
[[gnu::noinline]] size_t report(const TileArgs& a, size_t row, size_t vectors, size_t n, const __m256* scores,
                                TileHit* hits) {
    size_t found = 0;
    for (size_t i = 0; i < n * vectors; ++i) {
        const size_t lanes = i % vectors * 8;
        const auto* score = reinterpret_cast<const float*>(scores + i);
        const __m256 hit = _mm256_cmp_ps(scores[i], _mm256_loadu_ps(a.bounds + lanes), _CMP_LE_OQ);
        for (auto mask = uint32_t(_mm256_movemask_ps(hit)); mask != 0; mask &= mask - 1) {
            const uint32_t lane = _tzcnt_u32(mask);
            hits[found++] = {score[lane], uint32_t(row + i / vectors), uint32_t(lanes + lane)};
        }
    }
    return found;
}

// kRows rows from row on against all lanes; returns the number of hits, which are written to hits.
template <size_t kVectors, size_t kRows>
size_t block(const TileArgs& a, size_t row, const float* mul, const float* add, TileHit* hits) {
    const auto* panel = static_cast<const __m256i*>(a.panel);
    const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    const size_t apart = a.stride;
    Sums acc[kRows][kVectors];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) acc[r][v] = Sums{};
    size_t left = pairs(a.dim);
    do {
#pragma GCC unroll 16
        for (size_t r = 0; r < kRows; ++r) {
            int32_t pair;
            __builtin_memcpy(&pair, x + r * apart, 4);
#pragma GCC unroll 2
            for (size_t v = 0; v < kVectors; ++v)
                acc[r][v] += Sums(_mm256_madd_epi16(panel[v], _mm256_set1_epi32(pair)));
        }
        x += 4;
        panel += kVectors;
    } while (--left > 0);
    __m256 scores[kRows * kVectors];
    __m256 any = _mm256_setzero_ps();
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) {
            const __m256 dot = _mm256_cvtepi32_ps(__m256i(acc[r][v]));
            const __m256 score = _mm256_fmadd_ps(dot, _mm256_set1_ps(mul[r]), _mm256_set1_ps(add[r]));
            any = _mm256_or_ps(any, _mm256_cmp_ps(score, _mm256_loadu_ps(a.bounds + 8 * v), _CMP_LE_OQ));
            scores[r * kVectors + v] = score;
        }
    return _mm256_movemask_ps(any) == 0 ? 0 : report(a, row, kVectors, kRows, scores, hits);
}

template <size_t kVectors>
TileResult run(const TileArgs& a) {
    constexpr size_t kRows = 12 / kVectors, kLast = 4;
    constexpr size_t kMost = 12 * 8;
    size_t hits = 0, row = a.first;
    for (; row + kRows <= a.n; row += kRows) {
        if (hits + kMost > a.capacity) return {row, hits};
        hits += block<kVectors, kRows>(a, row, a.mul + row, a.add + row, a.hits + hits);
    }
    for (; row < a.n; row += kLast) {
        if (hits + kMost > a.capacity) return {row, hits};
        // Rows of padding get a NaN for a score and are not reported.
        float mul[kLast], add[kLast];
        for (size_t r = 0; r < kLast; ++r) {
            mul[r] = row + r < a.n ? a.mul[row + r] : 0;
            add[r] = row + r < a.n ? a.add[row + r] : __builtin_nanf("");
        }
        hits += block<kVectors, kLast>(a, row, mul, add, a.hits + hits);
    }
    return {a.n, hits};
}

template <class T, size_t kVectors>
constexpr Tile tile() {
    return {kVectors * 8, panel_bytes<kVectors>, pack_queries<T, kVectors>, rows_bytes, pack_rows<T>,
            stride,       run<kVectors>};
}

void sq8_lower(const Sq8Query& q, const uint8_t* codes, const Sq8Row* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; i += 4) {
        const uint8_t* x[4];
        __m128 side[4];
        for (size_t r = 0; r < 4; ++r) {
            const size_t row = i + r < n ? i + r : n - 1;
            x[r] = codes + row * dim;
            side[r] = _mm_loadu_ps(&rows[row].scale);
        }
        const __m128 dot = _mm_cvtepi32_ps(stream<false>(q.codes, x, 0, dim));
        _MM_TRANSPOSE4_PS(side[0], side[1], side[2], side[3]);
        __m128 bound = _mm_fmadd_ps(_mm_mul_ps(side[0], _mm_set1_ps(q.scale)), dot, _mm_set1_ps(q.slack));
        bound = _mm_fmadd_ps(side[1], _mm_set1_ps(q.sum), bound);
        bound = _mm_fmadd_ps(side[2], _mm_set1_ps(q.norm), bound);
        bound = _mm_fmadd_ps(bound, _mm_set1_ps(q.mul), _mm_set1_ps(q.add));
        bound = _mm_fmadd_ps(side[3], _mm_set1_ps(q.norm_weight), bound);
        store_first(out + i, bound, n - i);
    }
}

}  // namespace bytes

void fill_bytes(Kernels& k) {
    k.scan_l2[kU8] = bytes::scan_rows<uint8_t, true>;
    k.scan_l2[kI8] = bytes::scan_rows<int8_t, true>;
    k.scan_ip[kU8] = bytes::scan_rows<uint8_t, false>;
    k.scan_ip[kI8] = bytes::scan_rows<int8_t, false>;
    k.l2[kU8] = bytes::score_rows<uint8_t, true>;
    k.l2[kI8] = bytes::score_rows<int8_t, true>;
    k.ip[kU8] = bytes::score_rows<uint8_t, false>;
    k.ip[kI8] = bytes::score_rows<int8_t, false>;
    k.tiles[kU8] = {bytes::tile<uint8_t, 2>(), bytes::tile<uint8_t, 1>()};
    k.tiles[kI8] = {bytes::tile<int8_t, 2>(), bytes::tile<int8_t, 1>()};
    k.sq8_lower = bytes::sq8_lower;
}

}  // namespace
}  // namespace annkit::simd
