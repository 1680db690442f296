// The nearest rows of a panel of float lanes, once over a vector type V (see float_kernels.h; besides: min, lt and
// select, a mask and a choice by it, and bits, a number moved about as a float). Bottleneck: fused multiply-adds; of
// short rows, what compares and selects.
#pragma once

#include "annkit/simd/float_kernels.h"

namespace annkit::simd {
namespace {

// Row numbers travel in float registers, in two parts: the block's first row, and the row within the block, whose
// number is a constant.
template <class V, size_t kVecs>
struct NearestSoFar {
    using Reg = typename V::Reg;
    Reg best[kVecs], block[kVecs], row[kVecs];

    // Of R rows' scores the least, and then that against the best so far: so one block does not wait for another.
    template <size_t R>
    [[gnu::always_inline]] void take(const Reg (&scores)[R][kVecs], uint32_t first) {
        const Reg number = V::bits(first);
#pragma GCC unroll 8
        for (size_t v = 0; v < kVecs; ++v) {
            Reg least = scores[0][v], at = V::bits(0);
#pragma GCC unroll 64
            for (uint32_t r = 1; r < R; ++r) {
                at = V::select(V::lt(scores[r][v], least), V::bits(r), at);
                least = V::min(scores[r][v], least);
            }
            const auto better = V::lt(least, best[v]);
            best[v] = V::min(least, best[v]);
            block[v] = V::select(better, number, block[v]);
            row[v] = V::select(better, at, row[v]);
        }
    }

    void load(const NearestArgs& a) {
        for (size_t v = 0; v < kVecs; ++v) {
            float numbers[V::kLanes];
            __builtin_memcpy(numbers, a.nearest + v * V::kLanes, sizeof numbers);
            best[v] = V::load(a.best + v * V::kLanes);
            block[v] = V::load(numbers);
            row[v] = V::zero();
        }
    }
    void store(const NearestArgs& a) const {
        for (size_t v = 0; v < kVecs; ++v) {
            float numbers[2][V::kLanes];
            V::store(a.best + v * V::kLanes, best[v]);
            V::store(numbers[0], block[v]);
            V::store(numbers[1], row[v]);
            for (size_t i = 0; i < V::kLanes; ++i)
                a.nearest[v * V::kLanes + i] =
                    __builtin_bit_cast(uint32_t, numbers[0][i]) + __builtin_bit_cast(uint32_t, numbers[1][i]);
        }
    }
};

template <class V, size_t kVecs, size_t kRows>
struct FloatNearest {
    static constexpr size_t kLanes = V::kLanes * kVecs;

    static void pack(const float* rows, size_t apart, size_t n, size_t dim, float* panel) {
        interleave<V, kVecs>([&](size_t lane) { return rows + lane * apart; }, n, dim, panel);
    }

    template <size_t R>
    [[gnu::always_inline]] static void block(const NearestArgs& a, size_t row, NearestSoFar<V, kVecs>& so_far) {
        typename V::Reg sum[R][kVecs];
#pragma GCC unroll 64
        for (size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (size_t v = 0; v < kVecs; ++v) sum[r][v] = V::set1(a.add[row + r]);
        FloatTile<V, kVecs, kRows>::template accumulate<R>(static_cast<const char*>(a.rows) + row * a.stride, a.stride,
                                                           static_cast<const float*>(a.panel), a.dim, sum);
        so_far.take(sum, a.first + uint32_t(row));
    }

    static void run(const NearestArgs& a) {
        NearestSoFar<V, kVecs> so_far;
        so_far.load(a);
        size_t row = 0;
        for (; row + kRows <= a.n; row += kRows) block<kRows>(a, row, so_far);
        if constexpr (kRows > kMinimaRows)
            for (; row + kMinimaRows <= a.n; row += kMinimaRows) block<kMinimaRows>(a, row, so_far);
        for (; row + 3 <= a.n; row += 3) block<3>(a, row, so_far);
        for (; row < a.n; ++row) block<1>(a, row, so_far);
        so_far.store(a);
    }
};

template <class V, size_t kVecs, size_t kRows>
void fill_nearest(Kernels& k) {
    using Nearest = FloatNearest<V, kVecs, kRows>;
    k.nearest = {Nearest::kLanes, Nearest::pack, Nearest::run};
}

}  // namespace
}  // namespace annkit::simd
