// Float kernels written once over a vector type V; each file of an instruction set brings its own V and includes this.
//
// V, for tiles: Reg, kLanes, zero, set1, load (float, Half, Bf16), load_part (the first n < kLanes elements, zeros
// behind), join and join_part (the same of upper and lower halves), store, fma (a * b + c), le (bit mask of lanes with
// a <= b); for rows also add, sub, sum4 (the sums of four registers).
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

struct Half {
    uint16_t bits;
};
struct Bf16 {
    uint16_t bits;
};
struct Split {  // of a row, the upper half of a float; the lower one lies dim behind it
    uint16_t bits;
};

// A register of a row's elements from j on, and the first n of one.
template <class V, class T>
[[gnu::always_inline]] inline typename V::Reg elements(const T* row, size_t, size_t j) {
    return V::load(row + j);
}
template <class V>
[[gnu::always_inline]] inline typename V::Reg elements(const Split* row, size_t dim, size_t j) {
    return V::join(row + j, row + dim + j);
}
template <class V, class T>
[[gnu::always_inline]] inline typename V::Reg elements_part(const T* row, size_t, size_t j, size_t n) {
    return V::load_part(row + j, n);
}
template <class V>
[[gnu::always_inline]] inline typename V::Reg elements_part(const Split* row, size_t dim, size_t j, size_t n) {
    return V::join_part(row + j, row + dim + j, n);
}
template <class T>
constexpr size_t row_elements(size_t dim) {
    return dim;
}
template <>
constexpr size_t row_elements<Split>(size_t dim) {
    return 2 * dim;
}

// Asks for a line of each row, or one of each of its halves.
template <size_t R, class T>
[[gnu::always_inline]] inline void fetch_lines(const T* const* rows, size_t dim, size_t j) {
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) {
        __builtin_prefetch(rows[r] + j);
        if constexpr (row_elements<T>(1) > 1) __builtin_prefetch(rows[r] + dim + j);
    }
}

// A register more of a sum of squared differences, or of products.
template <class V, bool kL2>
[[gnu::always_inline]] inline typename V::Reg step(typename V::Reg q, typename V::Reg x, typename V::Reg sum) {
    if constexpr (!kL2) return V::fma(q, x, sum);
    const auto difference = V::sub(q, x);
    return V::fma(difference, difference, sum);
}

// Sums of R rows beside each other, two a row: registers of elements go to them in turn, so that a row's order of
// additions depends on dim alone. later: rows to fetch into the cache meanwhile.
template <class V, class T, bool kL2, size_t R, bool kPrefetch = false>
[[gnu::always_inline]] inline void sum_rows(const float* q, const T* const* rows, const T* const* later, size_t dim,
                                            typename V::Reg* out) {
    typename V::Reg even[R], odd[R];
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) even[r] = odd[r] = V::zero();
    const auto chunk = [&](size_t j, typename V::Reg* sum) {
        const auto qj = V::load(q + j);
#pragma GCC unroll 4
        for (size_t r = 0; r < R; ++r) sum[r] = step<V, kL2>(qj, elements<V>(rows[r], dim, j), sum[r]);
    };
    size_t j = 0;
    for (; j + 2 * V::kLanes <= dim; j += 2 * V::kLanes) {  // at most a line
        if constexpr (kPrefetch) fetch_lines<R>(later, dim, j);
        chunk(j, even), chunk(j + V::kLanes, odd);
    }
    if constexpr (kPrefetch) fetch_lines<R>(later, dim, j);
    if (j + V::kLanes <= dim) chunk(j, even), j += V::kLanes;
    if (j < dim) {
        const auto qj = V::load_part(q + j, dim - j);
#pragma GCC unroll 4
        for (size_t r = 0; r < R; ++r) odd[r] = step<V, kL2>(qj, elements_part<V>(rows[r], dim, j, dim - j), odd[r]);
    }
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) out[r] = V::add(even[r], odd[r]);
}

template <class V, bool kL2>
void store_scores(const typename V::Reg* sum, size_t n, float* out) {
    float sums[4];
    V::sum4(sum[0], sum[1], sum[2], sum[3], sums);
    for (size_t r = 0; r < n; ++r) out[r] = kL2 ? sums[r] : -sums[r];
}

// Beyond the last row: the last row again, so that every row takes the same path.
template <class T>
struct FourRows {
    const T* x[4];
};
template <class T>
FourRows<T> rows_at(const void* const* rows, size_t n, size_t i) {
    FourRows<T> four;
    for (size_t r = 0; r < 4; ++r) four.x[r] = static_cast<const T*>(rows[i + r < n ? i + r : n - 1]);
    return four;
}

// Scattered rows: four at once, with the next four on their way.
template <class V, class T, bool kL2>
void score_float_rows(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; i += 4) {
        const auto four = rows_at<T>(rows, n, i), later = rows_at<T>(rows, n, i + 4);
        typename V::Reg sum[4];
        sum_rows<V, T, kL2, 4, true>(static_cast<const float*>(query), four.x, later.x, dim, sum);
        store_scores<V, kL2>(sum, n - i < 4 ? n - i : 4, out + i);
    }
}

// Rows that follow each other: one stream, from the same few instructions, is what the machine fetches ahead best (Zen
// 4, d=128: 27 GB/s from memory; four rows at once 10). Short rows in fours, which lie close together.
template <class V, class T, bool kL2>
void scan_float_rows(const void* query, const void* rows, size_t dim, size_t n, float* out) {
    constexpr size_t kShort = 64;
    const auto* q = static_cast<const float*>(query);
    const auto* base = static_cast<const T*>(rows);
    for (size_t i = 0; i < n; i += 4) {
        const T* x[4];
        for (size_t r = 0; r < 4; ++r) x[r] = base + (i + r < n ? i + r : n - 1) * row_elements<T>(dim);
        typename V::Reg sum[4];
        if (dim <= kShort)
            sum_rows<V, T, kL2, 4>(q, x, nullptr, dim, sum);
        else
#pragma GCC unroll 1
            for (size_t r = 0; r < 4; ++r) sum_rows<V, T, kL2, 1>(q, x + r, nullptr, dim, sum + r);
        store_scores<V, kL2>(sum, n - i < 4 ? n - i : 4, out + i);
    }
}

// One stream of rows, too.
template <class V>
void square_rows(const float* rows, size_t stride, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; i += 4) {
        typename V::Reg sum[4];
#pragma GCC unroll 1
        for (size_t r = 0; r < 4; ++r) {
            const float* x = rows + (i + r < n ? i + r : n - 1) * stride;
            sum_rows<V, float, false, 1>(x, &x, nullptr, dim, sum + r);
        }
        store_scores<V, true>(sum, n - i < 4 ? n - i : 4, out + i);
    }
}

// Bottleneck: the rows' way from memory.
template <class V>
double sum_differences(const float* point, const float* const* rows, size_t dim, size_t n, double* sums) {
    constexpr size_t kRows = 8;
    double squares = 0;
    for (size_t i = 0; i < n; i += kRows) {
        const float *x[kRows], *later[kRows];  // instead of rows that do not exist the point
        for (size_t r = 0; r < kRows; ++r) {
            x[r] = i + r < n ? rows[i + r] : point;
            later[r] = i + r + kRows < n ? rows[i + r + kRows] : point;
        }
        auto square = V::zero();
        const auto chunk = [&](size_t j, size_t count, auto load) __attribute__((always_inline)) {
            const auto p = load(point + j);
            auto sum = V::zero();
#pragma GCC unroll 8
            for (size_t r = 0; r < kRows; ++r) {
                __builtin_prefetch(later[r] + j);
                const auto difference = V::sub(load(x[r] + j), p);
                sum = V::add(sum, difference);
                square = V::fma(difference, difference, square);
            }
            float all[V::kLanes];
            V::store(all, sum);
            for (size_t t = 0; t < count; ++t) sums[j + t] += double(all[t]);
        };
        size_t j = 0;
        for (; j + V::kLanes <= dim; j += V::kLanes) chunk(j, V::kLanes, [](const float* at) { return V::load(at); });
        if (j < dim) chunk(j, dim - j, [=](const float* at) { return V::load_part(at, dim - j); });
        float all[V::kLanes];
        V::store(all, square);
        for (const float one : all) squares += double(one);
    }
    return squares;
}

template <class V, class T>
void widen_row(const T* row, size_t dim, float* out) {
    const size_t whole = dim - dim % V::kLanes;
    for (size_t j = 0; j < whole; j += V::kLanes) V::store(out + j, elements<V>(row, dim, j));
    if (whole == dim) return;
    float rest[V::kLanes];
    V::store(rest, elements_part<V>(row, dim, whole, dim - whole));
    for (size_t j = whole; j < dim; ++j) out[j] = rest[j - whole];
}

template <class V>
void join(const uint16_t* in, size_t n, float* out) {
    widen_row<V>(reinterpret_cast<const Split*>(in), n, out);
}

// As many registers as they have lanes: x[i][j] becomes x[j][i], by exchanges of lanes that lie H apart.
template <class V, size_t H = V::kLanes / 2>
[[gnu::always_inline]] inline void transpose(typename V::Reg (&x)[V::kLanes]) {
    float upper[V::kLanes];
    for (size_t i = 0; i < V::kLanes; ++i) upper[i] = i & H ? -1.0f : 0.0f;
    const auto mask = V::lt(V::load(upper), V::zero());
#pragma GCC unroll 16
    for (size_t i = 0; i < V::kLanes; ++i) {
        if (i & H) continue;
        const auto a = x[i], b = x[i + H];
        x[i] = V::select(mask, V::template swap<H>(b), a);
        x[i + H] = V::select(mask, b, V::template swap<H>(a));
    }
    if constexpr (H > 1) transpose<V, H / 2>(x);
}

// Rows side by side, one a lane: element j of row(lane) goes to panel[j * kVecs * V::kLanes + lane]. Zeros from lane n
// on.
template <class V, size_t kVecs, class Row>
void interleave(Row&& row, size_t n, size_t dim, float* panel) {
    constexpr size_t kLanes = V::kLanes * kVecs;
    for (size_t first = 0; first < kLanes; first += V::kLanes)
        for (size_t j = 0; j < dim; j += V::kLanes) {
            const size_t width = dim - j < V::kLanes ? dim - j : V::kLanes;
            typename V::Reg x[V::kLanes];
            for (size_t i = 0; i < V::kLanes; ++i) {
                if (first + i >= n)
                    x[i] = V::zero();
                else if (width == V::kLanes)
                    x[i] = V::load(row(first + i) + j);
                else
                    x[i] = V::load_part(row(first + i) + j, width);
            }
            transpose<V>(x);
            for (size_t i = 0; i < width; ++i) V::store(panel + (j + i) * kLanes + first, x[i]);
        }
}

// Tile: lanes of the registers run across queries, elements of rows are broadcast. Rows need no transposing, and
// bounds are compared a register at a time.
template <class V, size_t kVecs, size_t kRows>
struct FloatTile {
    static constexpr size_t kLanes = V::kLanes * kVecs;
    static_assert(kLanes <= kMaxLanes && kRows * kLanes <= kMinHits);

    static size_t panel_bytes(size_t dim) { return dim * kLanes * sizeof(float); }

    static void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
        interleave<V, kVecs>([&](size_t lane) { return static_cast<const float*>(queries[lane]); }, n, dim,
                             static_cast<float*>(panel));
    }

    // Rows a multiple of 1 KB apart would fall into the same few sets of the first cache.
    static size_t stride(size_t dim) {
        const size_t bytes = (dim * sizeof(float) + 63) / 64 * 64;
        return bytes % 1024 == 0 ? bytes + 64 : bytes;
    }
    static size_t rows_bytes(size_t dim, size_t n) { return stride(dim) * n; }

    template <class T>
    static void pack_rows(const void* const* rows, size_t n, size_t dim, void* out) {
        for (size_t i = 0; i < n; ++i)
            widen_row<V>(static_cast<const T*>(rows[i]), dim,
                         reinterpret_cast<float*>(static_cast<char*>(out) + i * stride(dim)));
    }

    // Adds to the sums of R rows, R * kVecs of them, which stay in registers through the whole of dim.
    template <size_t R>
    [[gnu::always_inline]] static void accumulate(const char* rows, size_t stride, const float* panel, size_t dim,
                                                  typename V::Reg (&sum)[R][kVecs]) {
        constexpr size_t kGroups = (R + 2) / 3;  // a pointer for three rows: rows, rows + stride, rows + 2 * stride
        const char* p[kGroups];
        for (size_t g = 0; g < kGroups; ++g) p[g] = rows + 3 * g * stride;
        const size_t bytes = dim * sizeof(float);
        for (size_t j = 0; j < bytes; j += sizeof(float), panel += kLanes) {
            typename V::Reg q[kVecs];
#pragma GCC unroll 8
            for (size_t v = 0; v < kVecs; ++v) q[v] = V::load(panel + v * V::kLanes);
#pragma GCC unroll 64
            for (size_t r = 0; r < R; ++r) {
                const auto x = V::set1(*reinterpret_cast<const float*>(p[r / 3] + (r % 3) * stride + j));
#pragma GCC unroll 8
                for (size_t v = 0; v < kVecs; ++v) sum[r][v] = V::fma(x, q[v], sum[r][v]);
            }
        }
    }

    template <size_t R>
    static size_t block(const TileArgs& a, size_t row, TileHit* hits) {
        typename V::Reg sum[R][kVecs];
#pragma GCC unroll 64
        for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (size_t v = 0; v < kVecs; ++v) sum[r][v] = V::zero();
        accumulate<R>(static_cast<const char*>(a.rows) + row * a.stride, a.stride, static_cast<const float*>(a.panel),
                      a.dim, sum);
        size_t found = 0;
#pragma GCC unroll 64
        for (size_t r = 0; r < R; ++r) {
            const auto mul = V::set1(a.mul[row + r]), add = V::set1(a.add[row + r]);
#pragma GCC unroll 8
            for (size_t v = 0; v < kVecs; ++v) {
                const auto score = V::fma(sum[r][v], mul, add);
                const uint32_t mask = V::le(score, V::load(a.bounds + v * V::kLanes));
                if (mask) [[unlikely]]
                    found += emit(score, mask, uint32_t(row + r), uint32_t(v * V::kLanes), hits + found);
            }
        }
        return found;
    }

    [[gnu::noinline]] static size_t emit(typename V::Reg score, uint32_t mask, uint32_t row, uint32_t lane,
                                         TileHit* hits) {
        float scores[V::kLanes];
        V::store(scores, score);
        size_t found = 0;
        for (; mask; mask &= mask - 1) {
            const auto i = uint32_t(__builtin_ctz(mask));
            hits[found++] = {scores[i], row, lane + i};
        }
        return found;
    }

    static TileResult run(const TileArgs& a) {
        size_t row = a.first, hits = 0;
        for (; row + kRows <= a.n; row += kRows) {
            if (hits >= a.pause || hits + kRows * kLanes > a.capacity) return {row, hits};
            hits += block<kRows>(a, row, a.hits + hits);
        }
        for (; row < a.n; ++row) {
            if (hits >= a.pause || hits + kLanes > a.capacity) return {row, hits};
            hits += block<1>(a, row, a.hits + hits);
        }
        return {row, hits};
    }

    template <class T>
    static constexpr Tile tile() {
        return {kLanes, panel_bytes, pack_queries, rows_bytes, pack_rows<T>, stride, run};
    }
};

template <class V>
void fill_float_rows(Kernels& k) {
    k.squares = square_rows<V>;
    k.sum_differences = sum_differences<V>;
    k.join = join<V>;
    k.l2[kF32] = score_float_rows<V, float, true>;
    k.l2[kF16] = score_float_rows<V, Half, true>;
    k.l2[kBf16] = score_float_rows<V, Bf16, true>;
    k.l2[kSplit] = score_float_rows<V, Split, true>;
    k.ip[kF32] = score_float_rows<V, float, false>;
    k.ip[kF16] = score_float_rows<V, Half, false>;
    k.ip[kBf16] = score_float_rows<V, Bf16, false>;
    k.ip[kSplit] = score_float_rows<V, Split, false>;
    k.scan_l2[kF32] = scan_float_rows<V, float, true>;
    k.scan_l2[kF16] = scan_float_rows<V, Half, true>;
    k.scan_l2[kBf16] = scan_float_rows<V, Bf16, true>;
    k.scan_l2[kSplit] = scan_float_rows<V, Split, true>;
    k.scan_ip[kF32] = scan_float_rows<V, float, false>;
    k.scan_ip[kF16] = scan_float_rows<V, Half, false>;
    k.scan_ip[kBf16] = scan_float_rows<V, Bf16, false>;
    k.scan_ip[kSplit] = scan_float_rows<V, Split, false>;
}

// Shapes: kVecs registers of queries by kRows rows, wide and narrow.
template <class V, size_t kWideVecs, size_t kWideRows, size_t kNarrowVecs, size_t kNarrowRows>
void fill_float_tiles(Kernels& k) {
    using Wide = FloatTile<V, kWideVecs, kWideRows>;
    using Narrow = FloatTile<V, kNarrowVecs, kNarrowRows>;
    k.tiles[kF32] = {Wide::template tile<float>(), Narrow::template tile<float>()};
    k.tiles[kF16] = {Wide::template tile<Half>(), Narrow::template tile<Half>()};
    k.tiles[kBf16] = {Wide::template tile<Bf16>(), Narrow::template tile<Bf16>()};
    k.tiles[kSplit] = {Wide::template tile<Split>(), Narrow::template tile<Split>()};
}

}  // namespace
}  // namespace annkit::simd
