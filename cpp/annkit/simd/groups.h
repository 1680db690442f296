// Groups of product quantization: the nearest of a codebook's centroids, written once over a vector type V.
//
// Groups are small (2 to 16 dimensions), so lanes run across points, and a centroid's values are broadcast. Four
// centroids by kVecs registers of points are in flight. Bound by the multiply-adds: dim of them a pair, beside three
// operations that keep the least score and its number.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

// Choice, beside V: Index (a register of numbers), numbers(i) (the same in each lane), next(index) (plus one), keep
// (takes score and index over where the score is less), store.
template <class V, class Choice, size_t kVecs>
void nearest_in_group(const float* panels, size_t n_panels, size_t dim, const float* centroids, const float* norms,
                      size_t k, uint32_t* nearest) {
    constexpr size_t kStep = kVecs * V::kLanes, kTogether = 4;
    static_assert(kGroupPoints % kStep == 0);
    const size_t halves = n_panels * (kGroupPoints / kStep);
    for (size_t part = 0; part < halves; ++part, nearest += kStep) {
        const size_t panel = part * kStep / kGroupPoints;
        const float* points = panels + panel * kGroupPoints * dim + part * kStep % kGroupPoints;
        typename V::Reg best[kVecs];
        typename Choice::Index index[kVecs], number = Choice::numbers(0);
#pragma GCC unroll 8
        for (size_t v = 0; v < kVecs; ++v) best[v] = V::set1(__builtin_huge_valf()), index[v] = number;
        for (size_t c = 0; c < k; c += kTogether) {
            typename V::Reg sum[kTogether][kVecs];
#pragma GCC unroll 4
            for (size_t r = 0; r < kTogether; ++r)
#pragma GCC unroll 8
                for (size_t v = 0; v < kVecs; ++v) sum[r][v] = V::set1(norms[c + r]);
            const float *values = centroids + c, *point = points;
            for (size_t j = 0; j < dim; ++j, values += k, point += kGroupPoints) {
                typename V::Reg x[kVecs];
#pragma GCC unroll 8
                for (size_t v = 0; v < kVecs; ++v) x[v] = V::load(point + v * V::kLanes);
#pragma GCC unroll 4
                for (size_t r = 0; r < kTogether; ++r) {
                    const auto value = V::set1(values[r]);
#pragma GCC unroll 8
                    for (size_t v = 0; v < kVecs; ++v) sum[r][v] = V::fma(value, x[v], sum[r][v]);
                }
            }
#pragma GCC unroll 4
            for (size_t r = 0; r < kTogether; ++r) {
#pragma GCC unroll 8
                for (size_t v = 0; v < kVecs; ++v) Choice::keep(sum[r][v], number, best[v], index[v]);
                number = Choice::next(number);
            }
        }
#pragma GCC unroll 8
        for (size_t v = 0; v < kVecs; ++v) Choice::store(nearest + v * V::kLanes, index[v]);
    }
}

}  // namespace
}  // namespace annkit::simd
