// What kernels for codes of a byte or half a byte take: queries, rows, and queries on their way into bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace annkit::simd {

// A query in bytes, of at most byte_query_levels, for the codes of rows: score = base + mul * (sum of code * query), of
// sums that are exact up to 65,536 codes. Of nibbles the query has a number for each byte's low half, and behind those,
// from the next multiple of 64 on, for each high one. It is readable, and zeros, up to a multiple of 64.
struct CodeQuery {
    const int8_t* values;
    size_t bytes;  // of a row's codes
    float base = 0, mul = 1;
    size_t add_at = 0;  // where behind a row's begin a float32 lies that its score gets, too; 0: there is none
};

// Rows of codes that follow each other, stride apart, each with bytes up to a multiple of 4, and what is added to them.
struct CodeRows {
    const uint8_t* codes;
    size_t stride, n;
    const float* add;
};

// Codes u of SQ, each for low + step * u. A query q, seen from center, has the weights w = q * step for them.
struct CodeRange {
    const float *center, *low, *step;
    size_t dim;
};
struct WeightSums {
    float low, norm2;  // q . low, likewise seen from center, and |q|^2
};
// Weights in bytes: w = scale * code + e. Where codes go, and of what size they are at most, come first.
struct RoundedWeights {
    int8_t* codes;
    int levels;
    float scale = 0, error2 = 0, rest_of_mean = 0;  // error2 = |e / scale|^2, rest_of_mean = e . the mean code
};
inline constexpr float kLeastWeightScale = 1e-30f;

}  // namespace annkit::simd
