// The tables of a query of product quantization, written once over a vector type V (see float_kernels.h).
//
// Lanes run across a group's centroids, whose codebook lies dimension by dimension; what the query has there is
// broadcast. Bound by the loads of codebooks: one for each multiply-add.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

// kVecs registers of centroids of one group.
template <class V, bool kL2, size_t kVecs>
[[gnu::always_inline]] inline void table_entries(const float* query, const float* columns, size_t dim, size_t entries,
                                                 float times, float* out) {
    typename V::Reg sum[kVecs];
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) sum[v] = V::zero();
    for (size_t j = 0; j < dim; ++j, columns += entries) {
        const auto q = V::set1(kL2 ? query[j] : query[j] * times);
#pragma GCC unroll 8
        for (size_t v = 0; v < kVecs; ++v) {
            const auto c = V::load(columns + v * V::kLanes);
            if constexpr (kL2) {
                const auto difference = V::sub(q, c);
                sum[v] = V::fma(difference, difference, sum[v]);
            } else {
                sum[v] = V::fma(q, c, sum[v]);
            }
        }
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) V::store(out + v * V::kLanes, sum[v]);
}

template <class V, bool kL2>
void tables_of(const TableArgs& a, float* out) {
    constexpr size_t kSmall = 16 / V::kLanes, kLarge = 4 * kSmall <= 8 ? 4 * kSmall : 8;
    const size_t dim = a.dim;  // of a group
    for (size_t g = 0; g < a.m; ++g, out += a.entries) {
        const float *query = a.query + g * dim, *columns = a.columns + g * dim * a.entries;
        size_t c = 0;
        for (; c + kLarge * V::kLanes <= a.entries; c += kLarge * V::kLanes)
            table_entries<V, kL2, kLarge>(query, columns + c, dim, a.entries, a.times, out + c);
        for (; c < a.entries; c += 16)
            table_entries<V, kL2, kSmall>(query, columns + c, dim, a.entries, a.times, out + c);
    }
}

template <class V>
void product_tables(const TableArgs& a, float* out) {
    if (a.l2)
        tables_of<V, true>(a, out);
    else
        tables_of<V, false>(a, out);
}

// The least and the largest of n numbers, a multiple of 16, in all lanes.
template <class V>
[[gnu::always_inline]] inline void extremes(const float* table, size_t n, typename V::Reg& least,
                                            typename V::Reg& largest) {
    typename V::Reg low = V::load(table), high = V::sub(V::zero(), low);
    for (size_t i = V::kLanes; i < n; i += V::kLanes) {
        const auto x = V::load(table + i);
        low = V::min(low, x), high = V::min(high, V::sub(V::zero(), x));
    }
    const auto fold = [&]<size_t kBy>() {
        if constexpr (kBy < V::kLanes)
            low = V::min(low, V::template swap<kBy>(low)), high = V::min(high, V::template swap<kBy>(high));
    };
    fold.template operator()<1>(), fold.template operator()<2>();
    fold.template operator()<4>(), fold.template operator()<8>();
    least = low, largest = V::sub(V::zero(), high);
}

template <class V>
void table_ranges(const float* tables, size_t m, size_t entries, float* least, float* largest) {
    for (size_t g = 0; g < m; ++g) {
        typename V::Reg low, high;
        extremes<V>(tables + g * entries, entries, low, high);
        float one[2][V::kLanes];
        V::store(one[0], low), V::store(one[1], high);
        least[g] = one[0][0], largest[g] = one[1][0];
    }
}

template <class V>
void round_tables(const float* tables, size_t m, size_t entries, const float* least, float inverse, uint8_t* out) {
    const auto times = V::set1(inverse), most = V::set1(255.0f);
    for (size_t g = 0; g < m; ++g) {
        const auto low = V::set1(least[g]);
        for (size_t first = g * entries; first < (g + 1) * entries; first += 16) {
            float steps[16];
            for (size_t c = 0; c < 16; c += V::kLanes)
                V::store(steps + c, V::min(V::fma(V::sub(V::load(tables + first + c), low), times, V::zero()), most));
            for (size_t c = 0; c < 16; ++c) out[first + c] = uint8_t(int32_t(steps[c]));
        }
    }
}

template <class V>
void fill_tables(Kernels& k) {
    k.product_tables = product_tables<V>;
    k.table_ranges = table_ranges<V>;
    k.round_tables = round_tables<V>;
}

}  // namespace
}  // namespace annkit::simd
