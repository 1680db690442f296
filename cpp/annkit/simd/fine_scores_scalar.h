// Rows of codes that follow each other for a query in two bytes an element, in plain C++.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace fine_scores {

void run(const FineQuery& query, const CodeRows& rows, float* out) {
    const uint8_t* x = rows.codes;
    for (size_t i = 0; i < rows.n; ++i, x += rows.stride) {
        int32_t high = 0, low = 0;
        for (size_t j = 0; j < rows.dim; ++j) {
            high += int32_t(query.high[j]) * int32_t(x[j]);
            low += int32_t(query.low[j]) * int32_t(x[j]);
        }
        out[i] = (query.base + rows.add[i]) + (query.high_mul * float(high) + query.low_mul * float(low));
    }
}

}  // namespace fine_scores

void fill_fine_scores(Kernels& k) { k.fine_scores = fine_scores::run; }

}  // namespace
}  // namespace annkit::simd
