// Float queries made ready for codes of SQ, in plain C++ that compilers turn into vectors of each level.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace weights {

// Vectors of 16, whatever a level has: sums are the same at all of them. No function takes or returns one by value,
// which would be done otherwise at each level.
inline constexpr size_t kLanes = 16;
using Floats [[gnu::vector_size(4 * kLanes)]] = float;
using Ints [[gnu::vector_size(4 * kLanes)]] = int32_t;
using Bytes [[gnu::vector_size(kLanes)]] = int8_t;

// Numbers from j on, with zeros behind their end.
struct Part {
    size_t j, n;
    [[gnu::always_inline]] void load(const float* x, Floats& out) const {
        out = Floats{};
        __builtin_memcpy(&out, x + j, n * sizeof(float));
    }
    template <class T, class Vector>
    [[gnu::always_inline]] void store(const Vector& x, T* to) const {
        __builtin_memcpy(to + j, &x, n * sizeof(T));
    }
};

// For each vector of dim numbers; whole ones, whose length compilers know, apart from the last.
template <class Take>
[[gnu::always_inline]] inline void in_lanes(size_t dim, Take&& take) {
    size_t j = 0;
    for (; j + kLanes <= dim; j += kLanes) take(Part{j, kLanes});
    if (j < dim) take(Part{j, dim - j});
}

float total(const Floats& x) {
    float part[kLanes];
    __builtin_memcpy(part, &x, sizeof part);
    for (size_t half = kLanes / 2; half > 0; half /= 2)
        for (size_t lane = 0; lane < half; ++lane) part[lane] += part[half + lane];
    return part[0];
}

// Numbers that are small; between such large ones there are no fractions.
[[gnu::always_inline]] inline void round(Floats& x) {
    constexpr float kWhole = 3 << 22;
    x = (x + kWhole) - kWhole;
}

float largest(const float* x, size_t dim) {
    Floats most{};
    in_lanes(
        dim, [&](const Part& part) __attribute__((always_inline)) {
            Floats here;
            part.load(x, here);
            here = here < 0 ? -here : here;
            most = here > most ? here : most;
        });
    float all = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) all = most[lane] > all ? most[lane] : all;
    return all;
}

void weigh(const float* query, const CodeRange& range, float* weights, WeightSums& sums) {
    Floats low_sum{}, norm2{};
    in_lanes(
        range.dim, [&](const Part& part) __attribute__((always_inline)) {
            Floats q, center, low, step;
            part.load(query, q), part.load(range.center, center), part.load(range.low, low),
                part.load(range.step, step);
            q -= center;
            step *= q;
            part.store(step, weights);
            low_sum += q * (low - center);
            norm2 += q * q;
        });
    sums = {total(low_sum), total(norm2)};
}

void round_to_bytes(const float* weights, const float* mean, size_t dim, RoundedWeights& out) {
    const float fits = largest(weights, dim) / float(out.levels),
                scale = fits > kLeastWeightScale ? fits : kLeastWeightScale;
    const float inverse = 1 / scale;
    Floats error2{}, rest_of_mean{};
    in_lanes(
        dim, [&](const Part& part) __attribute__((always_inline)) {
            Floats weight, middle;
            part.load(weights, weight), part.load(mean, middle);
            const Floats exact = weight * inverse;
            Floats code = exact;
            round(code);
            const Bytes bytes = __builtin_convertvector(__builtin_convertvector(code, Ints), Bytes);
            part.store(bytes, out.codes);
            error2 += (exact - code) * (exact - code);
            rest_of_mean += (weight - scale * code) * middle;
        });
    out.scale = scale, out.error2 = total(error2), out.rest_of_mean = total(rest_of_mean);
}

}  // namespace weights

void fill_weights(Kernels& k) {
    k.weigh = weights::weigh;
    k.round_weights = weights::round_to_bytes;
}

}  // namespace
}  // namespace annkit::simd
