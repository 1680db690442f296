#include "annkit/codec/scalar_walk.h"

#include <algorithm>
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
      center_(l2_ ? codec.center_ : std::vector<float>(codec.low_.size())),
      row_(center_.size()),
      weights_(center_.size()),
      rounded_(center_.size()),
      query_(2 * whole_lines(center_.size())) {
    terms_.values = query_.data();
    terms_.bytes = codec.code_bytes();
    if (l2_) terms_.add_at = codec.add_at();
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
    simd::WeightSums sums;
    kernels.weigh(query, {center_.data(), codec_.low_.data(), codec_.step_.data(), dim}, weights_.data(), sums);
    const float factor = l2_ ? -2.0f : -1.0f;
    for (size_t i = 0; i < heavy_.size(); ++i) heavy_weights_[i] = factor * std::exchange(weights_[heavy_[i]], 0.0f);
    simd::RoundedWeights rounded{rounded_.data(), kernels.byte_query_levels};
    kernels.round_weights(weights_.data(), codec_.mean_code_.data(), dim, rounded);
    terms_.mul = factor * rounded.scale;
    terms_.base = factor * (sums.low + rounded.rest_of_mean) + (l2_ ? sums.norm2 : 0.0f);
    std::copy(rounded_.begin(), rounded_.end(), query_.begin());
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
