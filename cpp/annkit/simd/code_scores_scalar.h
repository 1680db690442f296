// Scores of scattered rows of codes for a query in bytes, in plain C++.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace code_scores {

size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

float score(const CodeQuery& query, int32_t sum, const uint8_t* row) {
    const float score = query.base + query.mul * float(sum);
    if (query.add_at == 0) return score;
    float add;
    __builtin_memcpy(&add, row + query.add_at, sizeof add);
    return score + add;
}

void bytes(const CodeQuery& query, const void* const* rows, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        int32_t sum = 0;
        for (size_t j = 0; j < query.bytes; ++j) sum += int32_t(query.values[j]) * int32_t(x[j]);
        out[i] = score(query, sum, x);
    }
}

void run(const CodeQuery& query, const CodeRows& rows, float* out) {
    const uint8_t* x = rows.codes;
    for (size_t i = 0; i < rows.n; ++i, x += rows.stride) {
        int32_t sum = 0;
        for (size_t j = 0; j < query.bytes; ++j) sum += int32_t(query.values[j]) * int32_t(x[j]);
        out[i] = (query.base + rows.add[i]) + query.mul * float(sum);
    }
}

void nibbles(const CodeQuery& query, const void* const* rows, size_t n, float* out) {
    const int8_t *low = query.values, *high = low + whole_lines(query.bytes);
    for (size_t i = 0; i < n; ++i) {
        const auto* x = static_cast<const uint8_t*>(rows[i]);
        int32_t sum = 0;
        for (size_t j = 0; j < query.bytes; ++j)
            sum += int32_t(low[j]) * int32_t(x[j] & 15) + int32_t(high[j]) * int32_t(x[j] >> 4);
        out[i] = score(query, sum, x);
    }
}

}  // namespace code_scores

void fill_code_scores(Kernels& k) {
    k.byte_scores = code_scores::bytes;
    k.nibble_scores = code_scores::nibbles;
    k.byte_run = code_scores::run;
}

}  // namespace
}  // namespace annkit::simd
