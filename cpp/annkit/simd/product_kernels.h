// Rows times a packed matrix, written once over a vector type V (see float_kernels.h: zero, set1, load, store, fma).
//
// Lanes run across outputs. A block of R rows by C columns of registers keeps its sums in registers through all of dim
// and is bound by the multiply-adds (12 x 2 of AVX-512: 14 loads for 24 of them). Whatever the block, an output is one
// sum in the order of dim: a row gets the same result alone and among others.
#pragma once

#include "annkit/simd/kernels.h"
#include "annkit/simd/prefetch.h"

namespace annkit::simd {
namespace {

// ahead: bytes from a row to the one that is fetched meanwhile, a line of each at a time, as many lines at once would
// hold up the additions; 0 where none is to come.
template <class V, size_t R, size_t C>
[[gnu::always_inline]] inline void product_block(const ProductArgs& a, size_t row, size_t column, intptr_t ahead) {
    static_assert(R % 3 == 0 || R == 1);
    constexpr size_t kGroups =
        R == 1 ? 1 : R / 3;  // a pointer for three rows, as base, stride and twice stride address
    const float* p[kGroups];
    for (size_t g = 0; g < kGroups; ++g) p[g] = a.rows + (row + 3 * g) * a.row_stride;
    const float* panel = a.matrix + column * a.dim * V::kLanes;
    const size_t stride = a.row_stride, next = a.dim * V::kLanes;
    typename V::Reg sum[R][C];
#pragma GCC unroll 16
    for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c)
            sum[r][c] = a.start == nullptr ? V::zero() : V::load(a.start + (column + c) * V::kLanes);
    const auto step = [&](size_t k) __attribute__((always_inline)) {
        typename V::Reg m[C];
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c) m[c] = V::load(panel + c * next);
#pragma GCC unroll 16
        for (size_t r = 0; r < R; ++r) {
            const auto x = V::set1(p[r / 3][(r % 3) * stride + k]);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; ++c) sum[r][c] = V::fma(x, m[c], sum[r][c]);
        }
    };
    constexpr size_t kLine = 16;
    for (size_t k = 0; k < a.dim; k += kLine) {
        if (R > 1 && ahead != 0)
#pragma GCC unroll 16
            for (size_t r = 0; r < R; ++r)
                prefetch(reinterpret_cast<const std::byte*>(p[r / 3] + (r % 3) * stride + k) + ahead);
        for (size_t i = k; i < a.dim && i < k + kLine; ++i, panel += V::kLanes) step(i);
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c) {
            const size_t first = (column + c) * V::kLanes;
            float* out = a.out + (row + r) * a.out_stride + first;
            if (first + V::kLanes <= a.outputs) {
                V::store(out, sum[r][c]);
            } else {
                float rest[V::kLanes];
                V::store(rest, sum[r][c]);
                for (size_t i = 0; first + i < a.outputs; ++i) out[i] = rest[i];
            }
        }
}

// Columns outside, so that those of a block stay in cache while the rows pass. What is left of them goes by half as
// many: a lone column waits for its own additions.
template <class V, size_t R, size_t C>
void product_sweep(const ProductArgs& a, size_t first, size_t last, size_t column = 0) {
    const size_t columns = (a.outputs + V::kLanes - 1) / V::kLanes;
    for (; column + C <= columns; column += C) {
        const bool fetches = a.coming != nullptr && column == 0;
        const intptr_t ahead = fetches ? reinterpret_cast<intptr_t>(a.coming) - reinterpret_cast<intptr_t>(a.rows) : 0;
        for (size_t row = first; row < last; row += R) product_block<V, R, C>(a, row, column, ahead);
    }
    if constexpr (C > 1) product_sweep<V, R, (C + 1) / 2>(a, first, last, column);
}

template <class V, size_t kRows, size_t kColumns, size_t kThreeColumns, size_t kOneColumns>
void product(const ProductArgs& a) {
    const size_t whole = a.n - a.n % kRows, threes = a.n - a.n % 3;
    product_sweep<V, kRows, kColumns>(a, 0, whole);
    product_sweep<V, 3, kThreeColumns>(a, whole, threes);
    product_sweep<V, 1, kOneColumns>(a, threes, a.n);
}

// Sums in turn, of a row's registers or, where they are few, of rows, so that none waits for the one before.
template <class V, bool kCopy>
float center_rows(const float* rows, size_t stride, size_t n, const float* mean, size_t dim, float* out,
                  size_t out_stride) {
    constexpr size_t kLanes = V::kLanes;
    typename V::Reg sums[4] = {V::zero(), V::zero(), V::zero(), V::zero()};
    for (size_t i = 0; i < n; ++i, rows += stride, out += kCopy ? out_stride : 0) {
        const auto one = [&](size_t j, auto x, auto m, auto& sum) __attribute__((always_inline)) {
            sum = V::fma(x, x, sum);
            if constexpr (kCopy) V::store(out + j, V::sub(x, m));
        };
        const auto whole = [&](size_t j, auto& sum) __attribute__((always_inline)) {
            one(j, V::load(rows + j), kCopy ? V::load(mean + j) : V::zero(), sum);
        };
        size_t j = 0;
        for (; j + 4 * kLanes <= dim; j += 4 * kLanes)
#pragma GCC unroll 4
            for (size_t c = 0; c < 4; ++c) whole(j + c * kLanes, sums[c]);
        for (; j + kLanes <= dim; j += kLanes) whole(j, sums[i % 2]);
        if (j < dim)
            one(j, V::load_part(rows + j, dim - j), kCopy ? V::load_part(mean + j, dim - j) : V::zero(),
                sums[2 + i % 2]);
    }
    float all[kLanes], sum = 0;
    V::store(all, V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3])));
    for (const float one : all) sum += one;
    return sum;
}

// Bottleneck: the rows' way from memory; of short ones that lie together, which pass as one, the additions.
template <class V>
float center(const float* rows, size_t stride, size_t n, const float* mean, size_t dim, float* out, size_t out_stride) {
    if (mean == nullptr && stride == dim && dim < 4 * V::kLanes) dim *= n, n = 1;
    return mean == nullptr ? center_rows<V, false>(rows, stride, n, mean, dim, out, out_stride)
                           : center_rows<V, true>(rows, stride, n, mean, dim, out, out_stride);
}

// Shapes: kRows by kColumns for batches; three rows, and one, by more columns for what is left.
template <class V, size_t kRows, size_t kColumns, size_t kThreeColumns, size_t kOneColumns>
void fill_product(Kernels& k) {
    k.product = {V::kLanes, kRows, product<V, kRows, kColumns, kThreeColumns, kOneColumns>};
    k.center = center<V>;
}

}  // namespace
}  // namespace annkit::simd
