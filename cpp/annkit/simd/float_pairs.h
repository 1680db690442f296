// Scattered rows of 16-bit elements over registers twice as wide as those of the level below: a register of a row holds
// both of the sums that sum_rows has there (float_kernels.h), so the scores are the same to the bit.
// Bottleneck: the rows' way from memory; in cache, widening.
#pragma once

#include "annkit/simd/float_kernels.h"

namespace annkit::simd {
namespace {

// V as for tiles, besides sub, sum4 of registers whose halves are added first, and swap<kLanes / 2>, of those halves.
template <class V, class T, bool kL2, size_t R>
[[gnu::always_inline]] inline void sum_pairs(const float* q, const T* const* rows, const T* const* later, size_t dim,
                                             typename V::Reg* sum) {
    for (size_t r = 0; r < R; ++r) sum[r] = V::zero();
    const auto chunk = [&](size_t j) {
        const auto qj = V::load(q + j);
#pragma GCC unroll 4
        for (size_t r = 0; r < R; ++r) sum[r] = step<V, kL2>(qj, elements<V>(rows[r], dim, j), sum[r]);
    };
    size_t j = 0;
    for (; j + 2 * V::kLanes <= dim; j += 2 * V::kLanes) {  // a line
        fetch_lines<R>(later, dim, j);
        chunk(j), chunk(j + V::kLanes);
    }
    if (j + V::kLanes <= dim) chunk(j), j += V::kLanes;
    const size_t rest = dim - j;
    if (rest == 0) return;
    // Too few for the first of the sums go to the second.
    const auto placed = [rest](auto x) { return rest < V::kLanes / 2 ? V::template swap<V::kLanes / 2>(x) : x; };
    const auto qj = placed(V::load_part(q + j, rest));
#pragma GCC unroll 4
    for (size_t r = 0; r < R; ++r) sum[r] = step<V, kL2>(qj, placed(elements_part<V>(rows[r], dim, j, rest)), sum[r]);
}

template <class V, class T, bool kL2>
void score_paired_rows(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; i += 4) {
        const auto four = rows_at<T>(rows, n, i), later = rows_at<T>(rows, n, i + 4);
        typename V::Reg sum[4];
        sum_pairs<V, T, kL2, 4>(static_cast<const float*>(query), four.x, later.x, dim, sum);
        store_scores<V, kL2>(sum, n - i < 4 ? n - i : 4, out + i);
    }
}

template <class V>
void fill_paired_rows(Kernels& k) {
    k.l2[kF16] = score_paired_rows<V, Half, true>;
    k.l2[kBf16] = score_paired_rows<V, Bf16, true>;
    k.l2[kSplit] = score_paired_rows<V, Split, true>;
    k.ip[kF16] = score_paired_rows<V, Half, false>;
    k.ip[kBf16] = score_paired_rows<V, Bf16, false>;
    k.ip[kSplit] = score_paired_rows<V, Split, false>;
}

}  // namespace
}  // namespace annkit::simd
