#include "annkit/codec/scalar_walk.h"

#include <algorithm>
#include <cmath>

namespace annkit {
namespace {

constexpr size_t kLine = 64;
size_t whole_lines(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

ScalarWalk::ScalarWalk(const Scalar& codec, Metric metric, const Codes& codes)
    : codec_(codec),
      codes_(codes),
      l2_(metric != Metric::ip),
      columns_{&codes.columns[0], l2_ ? &codes.columns[Scalar::kAdd] : nullptr},
      center_(l2_ ? codec.center_ : std::vector<float>(codec.low_.size())),
      zeros_(codec.low_.size()),
      row_(codec.low_.size()),
      weights_(codec.low_.size()),
      rounded_(codec.low_.size()),
      query_((codec.bits() == 4 ? 2 : 1) * whole_lines(codes.code_bytes())) {}

void ScalarWalk::query(const Rows& one) {
    const FloatBlock block(one, "the query");
    take(block.row(0));
}

void ScalarWalk::query_row(uint32_t row) {
    codec_.decode(codes_, row, row_.size(), row_.data());
    take(row_.data());
}

// As ScalarQueries has it: of x = low + step * u, the dot is q.low + w.u with w = q * step, and w is rounded to scale *
// w'; what that takes of the mean code is put back.
void ScalarWalk::take(const float* query) {
    const size_t dim = row_.size();
    const float *step = codec_.step_.data(), *low = codec_.low_.data(), *center = center_.data();
    float largest = 0;
    constexpr size_t kSums = 8;
    float lows[kSums] = {}, norms[kSums] = {};
    for (size_t j = 0; j < dim; ++j) {
        const float q = query[j] - center[j];
        weights_[j] = q * step[j];
        lows[j % kSums] += q * (low[j] - center[j]);
        norms[j % kSums] += q * q;
    }
    for (size_t j = 0; j < dim; ++j) largest = std::max(largest, std::abs(weights_[j]));
    const auto total = [](const float* x) { return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])); };
    const auto levels = float(simd::kernels().byte_query_levels);
    simd::I8Row rounded;
    simd::kernels().to_i8(weights_.data(), zeros_.data(), dim, std::max(largest / levels, simd::kLeastScale),
                          rounded_.data(), rounded);
    float left[kSums] = {};
    for (size_t j = 0; j < dim; ++j)
        left[j % kSums] += (weights_[j] - rounded.scale * float(rounded_[j])) * codec_.mean_code_[j];
    const float factor = l2_ ? -2.0f : -1.0f;
    mul_ = factor * rounded.scale;
    base_ = factor * (total(lows) + total(left)) + (l2_ ? total(norms) : 0.0f);
    if (codec_.bits() == 8) {
        std::copy(rounded_.begin(), rounded_.end(), query_.begin());
        return;
    }
    const size_t high = query_.size() / 2;
    for (size_t j = 0; j < dim; ++j) query_[j / 2 + (j % 2 ? high : 0)] = rounded_[j];
}

void ScalarWalk::score(const uint32_t* rows, size_t n, float* out) const {
    constexpr size_t kBlock = 256;
    const void* codes[kBlock];
    int32_t dots[kBlock];
    const auto dot = codec_.bits() == 8 ? simd::kernels().byte_dots : simd::kernels().nibble_dots;
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        for (size_t i = 0; i < count; ++i) codes[i] = columns_[0]->row(rows[first + i]);
        dot(query_.data(), codes, columns_[0]->row_bytes(), count, dots);
        for (size_t i = 0; i < count; ++i) {
            const float score = base_ + mul_ * float(dots[i]);
            out[first + i] = l2_ ? score + *columns_[1]->at<float>(rows[first + i]) : score;
        }
    }
}

}  // namespace annkit
