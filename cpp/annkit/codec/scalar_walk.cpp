#include "annkit/codec/scalar_walk.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace annkit {
namespace {

constexpr size_t kLine = 64;
size_t whole_lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

ScalarWalk::ScalarWalk(const Scalar& codec, Metric metric, const Codes& codes)
    : codec_(codec),
      codes_(codes),
      l2_(metric != Metric::ip),
      column_(codes.columns[0]),
      heavy_(l2_ ? codec.heavy_ : codec.heavy_from_zero_),
      heavy_weights_(heavy_.size()),
      zeros_(codec.low_.size()),
      center_(l2_ ? codec.center_ : zeros_),
      low_(codec.low_),
      row_(zeros_),
      shifted_(zeros_),
      weights_(zeros_),
      rounded_(zeros_.size()),
      query_(2 * whole_lines(zeros_.size())),
      mean_((zeros_.size() + 3) / 4 * 4) {
    terms_.values = query_.data();
    terms_.bytes = codec.code_bytes();
    if (l2_) terms_.add_at = codec.add_at();
    for (size_t j = 0; j < low_.size(); ++j) {
        low_[j] -= center_[j];
        mean_[j] = uint8_t(codec.mean_code_[j] + 0.5f);
    }
}

void ScalarWalk::query(const Rows& one) {
    const FloatBlock block(one, "the query");
    take(block.row(0));
}

void ScalarWalk::query_row(uint32_t row) {
    codec_.decode(codes_, row, row_.size(), row_.data());
    take(row_.data());
}

// As ScalarQueries has it: of x = low + step * u, the dot is q.low + w.u with w = q * step, and w is rounded to scale *
// w'; what that takes of the mean code is put back. Heavy weights are no part of w, but multiplied as they are.
void ScalarWalk::take(const float* query) {
    const simd::Kernels& kernels = simd::kernels();
    const size_t dim = row_.size();
    const float* step = codec_.step_.data();
    constexpr size_t kAtOnce = 16;
    float most[kAtOnce] = {};
    for (size_t j = 0; j < dim; ++j) shifted_[j] = query[j] - center_[j];
    for (size_t j = 0; j < dim; ++j) weights_[j] = shifted_[j] * step[j];
    const float factor = l2_ ? -2.0f : -1.0f;
    for (size_t i = 0; i < heavy_.size(); ++i) heavy_weights_[i] = factor * std::exchange(weights_[heavy_[i]], 0.0f);
    size_t j = 0;
    for (; j + kAtOnce <= dim; j += kAtOnce)
        for (size_t i = 0; i < kAtOnce; ++i) most[i] = std::max(most[i], std::abs(weights_[j + i]));
    for (; j < dim; ++j) most[0] = std::max(most[0], std::abs(weights_[j]));
    const float largest = *std::max_element(most, most + kAtOnce), levels = float(kernels.byte_query_levels);
    simd::I8Row rounded;
    kernels.to_i8(weights_.data(), zeros_.data(), dim, std::max(largest / levels, simd::kLeastScale), rounded_.data(),
                  rounded);
    const auto minus_dot = [&](const float* x, const float* y) {
        const void* other = y;
        float out;
        kernels.ip[simd::kF32](x, &other, dim, 1, &out);
        return out;
    };
    const void* mean = mean_.data();
    float of_weights;
    float of_rounded;
    kernels.dot_u8(weights_.data(), &mean, dim, 1, &of_weights);
    std::copy(rounded_.begin(), rounded_.end(), query_.begin());
    kernels.byte_scores({query_.data(), mean_.size()}, &mean, 1, &of_rounded);
    const float low = of_weights - rounded.scale * of_rounded - minus_dot(shifted_.data(), low_.data());
    terms_.mul = factor * rounded.scale;
    terms_.base = factor * low - (l2_ ? minus_dot(shifted_.data(), shifted_.data()) : 0.0f);
    if (codec_.bits() == 8) return;
    const size_t high = whole_lines(codec_.code_bytes());
    std::fill(query_.begin(), query_.end(), int8_t(0));
    for (size_t i = 0; i < dim; ++i) query_[i / 2 + (i % 2 ? high : 0)] = rounded_[i];
}

void ScalarWalk::score_codes(const uint32_t*, const void* const* codes, size_t n, float* out) const {
    const simd::Kernels& kernels = simd::kernels();
    (codec_.bits() == 8 ? kernels.byte_scores : kernels.nibble_scores)(terms_, codes, n, out);
    for (size_t i = 0; i < heavy_.size(); ++i)
        for (size_t row = 0; row < n; ++row)
            out[row] += heavy_weights_[i] * codec_.code_at(static_cast<const std::byte*>(codes[row]), heavy_[i]);
}

}  // namespace annkit
