// Bytes (u8, i8) with AVX-512 VNNI: rows, tiles and the bounds of 8-bit codes.
// Bottlenecks: tiles, vpdpbusd (Zen 4: one a cycle): d=128, 1.55 G pairs a second, 199 of at most 233 G products; 94 %
// of them at d=1536. Rows and codes that follow each other, memory: 22-31 GB/s (43-57 in cache).
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace bytes {

// So many squares of differences of bytes fit int32: 255 * 255 * 32,768 < 2^31.
inline constexpr size_t kBlock = 32768;
inline constexpr size_t kShort = 256;  // see stream

// Sums of the type that the instructions have: as __m512i, of 64-bit lanes, GCC 12 keeps each twice and runs out of
// registers (tiles at half the speed).
using Sums [[gnu::vector_size(64)]] = uint32_t;

__mmask32 first32(size_t n) { return _bzhi_u32(~0u, uint32_t(n)); }
__mmask64 first64(size_t n) { return _bzhi_u64(~0ull, uint32_t(n)); }

// 32 elements as 16-bit numbers; or the first n of them, then zeros, and nothing else is read.
__m256i load(const void* x) { return _mm256_loadu_si256(static_cast<const __m256i*>(x)); }
__m512i widen(const uint8_t* x) { return _mm512_cvtepu8_epi16(load(x)); }
__m512i widen(const int8_t* x) { return _mm512_cvtepi8_epi16(load(x)); }
__m512i widen(const int16_t* x) { return _mm512_loadu_si512(x); }
__m512i widen(const uint8_t* x, size_t n) { return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(first32(n), x)); }
__m512i widen(const int8_t* x, size_t n) { return _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(first32(n), x)); }
__m512i widen(const int16_t* x, size_t n) { return _mm512_maskz_loadu_epi16(first32(n), x); }

// Adds up each of four vectors.
__m128i add_up(const Sums (&sums)[4]) {
    __m512i x[4];
    for (int r = 0; r < 4; ++r) x[r] = __m512i(sums[r]);
    const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
    const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
    const __m512i c = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m256i d = _mm256_add_epi32(_mm512_castsi512_si256(c), _mm512_extracti64x4_epi64(c, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(d), _mm256_extracti128_si256(d, 1));
}

template <bool kL2>
Sums step(Sums sum, __m512i q, __m512i x) {
    if constexpr (!kL2) return Sums(_mm512_dpwssd_epi32(__m512i(sum), q, x));
    const __m512i difference = _mm512_sub_epi16(q, x);
    return Sums(_mm512_dpwssd_epi32(__m512i(sum), difference, difference));
}

// Elements [from, to) of one row, at most kBlock of them.
template <bool kL2, class Q, class T>
Sums one(const Q* q, const T* x, size_t from, size_t to) {
    Sums sum[4] = {Sums{}, Sums{}, Sums{}, Sums{}};
    size_t i = from;
    for (; i + 128 <= to; i += 128)
#pragma GCC unroll 4
        for (size_t v = 0; v < 4; ++v) sum[v] = step<kL2>(sum[v], widen(q + i + 32 * v), widen(x + i + 32 * v));
    for (; i + 32 <= to; i += 32) sum[0] = step<kL2>(sum[0], widen(q + i), widen(x + i));
    if (i < to) sum[1] = step<kL2>(sum[1], widen(q + i, to - i), widen(x + i, to - i));
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// The same of four rows at once, which share the query's loads; may prefetch those of four later rows.
template <bool kL2, bool kPrefetch, class Q, class T>
__m128i four(const Q* q, const T* const* x, const T* const* later, size_t from, size_t to) {
    Sums sum[4] = {Sums{}, Sums{}, Sums{}, Sums{}};
    size_t i = from;
    for (; i + 32 <= to; i += 32) {
        const __m512i a = widen(q + i);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            if (kPrefetch && (i - from) % 64 == 0) _mm_prefetch(later[r] + i, _MM_HINT_T0);
            sum[r] = step<kL2>(sum[r], a, widen(x[r] + i));
        }
    }
    if (i < to) {
        const __m512i a = widen(q + i, to - i);
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
    const __m128 scores = _mm256_cvtpd_ps(sum);
    if (n >= 4)
        _mm_storeu_ps(out, scores);
    else
        _mm_mask_storeu_ps(out, __mmask8(first32(n)), scores);
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

// Tiles. A row is packed as x ^ 0x80, padded to a multiple of 4 bytes; four bytes of it are broadcast against those of
// 16 queries. vpdpbusd multiplies unsigned by signed: the u8 query by the row taken as x - 128, or the row taken as
// x + 128 by the i8 query. Both are off by 128 times the query's sum, which the lane's sum starts with; int32 wraps on
// the way and is exact at the end. Panel: the starts, then groups of four elements of all lanes, zeros as padding.
size_t groups(size_t dim) { return (dim + 3) / 4; }
// Rows a multiple of 2 KB apart would share a few sets of the first cache.
size_t stride(size_t dim) { return groups(dim) * 4 + (groups(dim) % 512 == 0 ? 64 : 0); }
// The last rows run four at a time, over up to three rows of padding.
size_t rows_bytes(size_t dim, size_t n) { return (n + 3) * stride(dim); }

void pack_rows(const void* const* rows, size_t n, size_t dim, void* out) {
    const __m512i flip = _mm512_set1_epi8(char(0x80));
    auto* to = static_cast<uint8_t*>(out);
    const size_t whole = dim / 64 * 64, all = groups(dim) * 4;
    for (size_t i = 0; i < n; ++i, to += stride(dim)) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        for (size_t j = 0; j < whole; j += 64)
            _mm512_storeu_si512(to + j, _mm512_xor_si512(_mm512_loadu_si512(x + j), flip));
        if (whole == dim) continue;
        const __m512i tail = _mm512_maskz_loadu_epi8(first64(dim - whole), x + whole);
        _mm512_mask_storeu_epi8(to + whole, first64(all - whole), _mm512_xor_si512(tail, flip));
    }
}

template <size_t kVectors>
size_t panel_bytes(size_t dim) {
    return (1 + groups(dim)) * kVectors * 64;
}

template <class T, size_t kVectors>
void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    constexpr size_t kLanes = kVectors * 16;
    auto* starts = static_cast<int32_t*>(panel);
    for (size_t lane = 0; lane < kLanes; ++lane) {
        int32_t* to = starts + kLanes + lane;
        if (lane >= n) {
            starts[lane] = 0;
            for (size_t g = 0; g < groups(dim); ++g) to[g * kLanes] = 0;
            continue;
        }
        const T* q = static_cast<const T*>(queries[lane]);
        for (size_t g = 0; g < dim / 4; ++g) __builtin_memcpy(&to[g * kLanes], q + 4 * g, 4);
        if (dim % 4 != 0) {
            T rest[4] = {};
            for (size_t j = dim / 4 * 4; j < dim; ++j) rest[j % 4] = q[j];
            __builtin_memcpy(&to[dim / 4 * kLanes], rest, 4);
        }
        int32_t sum = 0;
        for (size_t j = 0; j < dim; ++j) sum += q[j];
        starts[lane] = T(-1) < T(0) ? -128 * sum : 128 * sum;
    }
}

template <class T>
Sums multiply(Sums sum, __m512i q, __m512i row) {
    if constexpr (T(-1) < T(0)) return Sums(_mm512_dpbusd_epi32(__m512i(sum), row, q));
    return Sums(_mm512_dpbusd_epi32(__m512i(sum), q, row));
}

// Writes what lies within the bounds. Apart from block, whose registers would otherwise go to memory. First all masks,
// then a branch for four of them: most are empty.
template <size_t kVectors>
[[gnu::noinline]] size_t report(const TileArgs& a, size_t row, size_t n, const __m512* scores, TileHit* hits) {
    alignas(8) __mmask16 masks[24];
    __m512 bounds[kVectors];
    for (size_t v = 0; v < kVectors; ++v) bounds[v] = _mm512_loadu_ps(a.bounds + 16 * v);
    for (size_t i = 0; i < n * kVectors; i += 4)
#pragma GCC unroll 4
        for (size_t v = 0; v < 4; ++v)
            masks[i + v] = _mm512_cmp_ps_mask(scores[i + v], bounds[v % kVectors], _CMP_LE_OQ);
    const auto* score = reinterpret_cast<const float*>(scores);
    size_t found = 0;
    for (size_t i = 0; i < n * kVectors; i += 4) {
        uint64_t four;
        __builtin_memcpy(&four, masks + i, sizeof four);
        for (; four != 0; four &= four - 1) {
            const size_t place = 16 * i + size_t(_tzcnt_u64(four)), lanes = 16 * kVectors;
            hits[found++] = {score[place], uint32_t(row + place / lanes), uint32_t(place % lanes)};
        }
    }
    return found;
}

// kRows rows from row on against all lanes; returns the number of hits, which are written to hits.
template <class T, size_t kVectors, size_t kRows>
size_t block(const TileArgs& a, size_t row, const float* mul, const float* add, TileHit* hits) {
    const auto* panel = static_cast<const __m512i*>(a.panel);
    const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
    const size_t apart = a.stride;
    Sums acc[kRows][kVectors];
#pragma GCC unroll 32
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) acc[r][v] = Sums(panel[v]);
    size_t left = groups(a.dim);
    do {
        panel += kVectors;
#pragma GCC unroll 32
        for (size_t r = 0; r < kRows; ++r) {
            int32_t part;
            __builtin_memcpy(&part, x + r * apart, 4);
#pragma GCC unroll 2
            for (size_t v = 0; v < kVectors; ++v) acc[r][v] = multiply<T>(acc[r][v], panel[v], _mm512_set1_epi32(part));
        }
        x += 4;
    } while (--left > 0);
    __m512 scores[kRows * kVectors];
    __mmask16 any = 0;
#pragma GCC unroll 32
    for (size_t r = 0; r < kRows; ++r)
#pragma GCC unroll 2
        for (size_t v = 0; v < kVectors; ++v) {
            const __m512 dot = _mm512_cvtepi32_ps(__m512i(acc[r][v]));
            const __m512 score = _mm512_fmadd_ps(dot, _mm512_set1_ps(mul[r]), _mm512_set1_ps(add[r]));
            any |= _mm512_cmp_ps_mask(score, _mm512_loadu_ps(a.bounds + 16 * v), _CMP_LE_OQ);
            scores[r * kVectors + v] = score;
        }
    return any == 0 ? 0 : report<kVectors>(a, row, kRows, scores, hits);
}

template <class T, size_t kVectors>
TileResult run(const TileArgs& a) {
    constexpr size_t kRows = 24 / kVectors, kLast = 4;
    constexpr size_t kMost = kRows * kVectors * 16;
    size_t hits = 0, row = a.first;
    for (; row + kRows <= a.n; row += kRows) {
        if (hits + kMost > a.capacity) return {row, hits};
        hits += block<T, kVectors, kRows>(a, row, a.mul + row, a.add + row, a.hits + hits);
    }
    for (; row < a.n; row += kLast) {
        if (hits + kMost > a.capacity) return {row, hits};
        // Rows of padding get a NaN for a score and are not reported.
        float mul[kLast], add[kLast];
        for (size_t r = 0; r < kLast; ++r) {
            mul[r] = row + r < a.n ? a.mul[row + r] : 0;
            add[r] = row + r < a.n ? a.add[row + r] : __builtin_nanf("");
        }
        hits += block<T, kVectors, kLast>(a, row, mul, add, a.hits + hits);
    }
    return {a.n, hits};
}

template <class T, size_t kVectors>
constexpr Tile tile() {
    return {kVectors * 16, panel_bytes<kVectors>, pack_queries<T, kVectors>, rows_bytes, pack_rows,
            stride,        run<T, kVectors>};
}

// Four rows of codes that follow each other, in halves of a register: 256-bit steps get more out of memory.
__m128i four_codes(const int16_t* q, const uint8_t* const* x, size_t dim) {
    using Half [[gnu::vector_size(32)]] = uint32_t;
    Half sum[4] = {};
    size_t i = 0;
    const auto step = [&](__mmask16 mask) __attribute__((always_inline)) {
        const __m256i a = _mm256_maskz_loadu_epi16(mask, q + i);
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            const __m256i codes = _mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(mask, x[r] + i));
            sum[r] = Half(_mm256_dpwssd_epi32(__m256i(sum[r]), a, codes));
        }
    };
    for (; i + 16 <= dim; i += 16) step(0xffff);
    if (i < dim) step(__mmask16(first32(dim - i)));
    __m256i s[4];
    for (int r = 0; r < 4; ++r) s[r] = __m256i(sum[r]);
    const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(s[0], s[1]), _mm256_hadd_epi32(s[2], s[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
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
        const __m128 dot =
            _mm_cvtepi32_ps(dim <= kShort ? four_codes(q.codes, x, dim) : stream<false>(q.codes, x, 0, dim));
        _MM_TRANSPOSE4_PS(side[0], side[1], side[2], side[3]);
        __m128 bound = _mm_fmadd_ps(_mm_mul_ps(side[0], _mm_set1_ps(q.scale)), dot, _mm_set1_ps(q.slack));
        bound = _mm_fmadd_ps(side[1], _mm_set1_ps(q.sum), bound);
        bound = _mm_fmadd_ps(side[2], _mm_set1_ps(q.norm), bound);
        bound = _mm_fmadd_ps(bound, _mm_set1_ps(q.mul), _mm_set1_ps(q.add));
        bound = _mm_fmadd_ps(side[3], _mm_set1_ps(q.norm_weight), bound);
        if (i + 4 <= n)
            _mm_storeu_ps(out + i, bound);
        else
            _mm_mask_storeu_ps(out + i, __mmask8(first32(n - i)), bound);
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
