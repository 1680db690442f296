#include "annkit/codec/scalar_queries.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>

namespace annkit {
namespace {

constexpr float kUnit = FLT_EPSILON / 2;
constexpr float kUp = 1 + 8 * FLT_EPSILON;

float l2_score(float start, float dot, float add) { return std::max(start - 2 * dot + add, 0.0f); }

}  // namespace

ScalarQueries::ScalarQueries(const Scalar& codec, const CodeUse& use, const Rows& queries, const Call& call)
    : codec_(codec),
      l2_(use.metric != Metric::ip),
      residual_(use.residual),
      rounded_(queries.n),
      heavy_(l2_ && !residual_ ? codec.heavy_ : codec.heavy_from_zero_),
      weights_(queries.n * codec.low_.size()),
      zeros_(codec.low_.size()),
      heavy_weights_(queries.n * heavy_.size()),
      codes_apart_((codec.low_.size() + 63) / 64 * 64),
      codes_(queries.n * codes_apart_),
      factors_(simd::kMostTileRows, l2_ ? -2.0f : -1.0f),
      nothing_(l2_ ? 0 : simd::kMostTileRows) {
    double largest2 = 0, middle2 = 0, far2 = 0;
    for (size_t j = 0; j < codec.low_.size(); ++j) {
        const double center = l2_ && !residual_ ? codec.center_[j] : 0.0f, step = codec.step_[j];
        const double low = codec.low_[j] - center, high = low + step * codec.most();
        const double middle = low + step * codec.mean_code_[j];
        const double lowest = codec.low_[j], highest = lowest + step * codec.most();
        far2 += std::max(lowest * lowest, highest * highest);
        largest2 += std::max(low * low, high * high);
        middle2 += middle * middle;
        largest_step_ = std::max(largest_step_, codec.step_[j]);
    }
    largest_norm_ = float(std::sqrt(largest2)) * kUp;
    middle_norm_ = float(std::sqrt(middle2)) * kUp;
    decoding_error_ = l2_ && !residual_ ? 3 * kUnit * float(std::sqrt(far2)) * kUp : 0.0f;
    constexpr size_t kBlock = 64;
    const int threads = threads_for(call, 8 * double(weights_.size()));
    parallel_blocks(queries.n, kBlock, threads, call, [&](size_t first, size_t count) {
        const FloatBlock block(queries.slice(first, count), "the query");
        std::vector<float> scratch(tile_dim());
        for (size_t i = first; i < first + count; ++i) rounded_[i] = round(block.row(i - first), i, scratch.data());
    });
}

// q.x of x = low + step * u is q.low + w.u with w = q * step. With w = scale * w' + e:
//     w.u = scale * w'.u + e.m + e.(u - m), with the mean code m, and the last at most |e| times the code's reach.
// Heavy weights are no part of w here, but multiplied as they are.
ScalarQueries::Query ScalarQueries::round(const float* query, size_t at, float* scratch) {
    const size_t dim = codec_.low_.size();
    float* weights = &weights_[at * dim];
    const float* center = l2_ && !residual_ ? codec_.center_.data() : zeros_.data();
    simd::WeightSums sums;
    simd::kernels().weigh(query, {center, codec_.low_.data(), codec_.step_.data(), dim}, weights, sums);
    const float* light = weights;
    if (!heavy_.empty()) {
        light = std::copy(weights, weights + dim, scratch) - dim;
        for (size_t i = 0; i < heavy_.size(); ++i)
            heavy_weights_[at * heavy_.size() + i] = std::exchange(scratch[heavy_[i]], 0.0f);
    }
    simd::RoundedWeights rounded{&codes_[at * codes_apart_], simd::kernels().byte_query_levels};
    simd::kernels().round_weights(light, codec_.mean_code_.data(), dim, rounded);
    const float up = 1 + (float(dim) + 16) * FLT_EPSILON;
    const float unsure = 128 * FLT_EPSILON * std::sqrt(float(dim));  // as weights in units of the scale are rounded
    return {.scale = rounded.scale,
            .offset = rounded.rest_of_mean,
            .error = rounded.scale * (std::sqrt(rounded.error2) * up + unsure),
            .low = sums.low,
            .norm2 = sums.norm2,
            .norm = std::sqrt(sums.norm2) * up};
}

// What rounding takes from sums, here and in the canonical score, is as large as what they are made of: the products of
// a query q with codes, which are as large for a row x in the middle as for others, and squares. |x|^2 is at most
// largest * (middle + step * reach): where a few rows lie far away, margins of the others stay small.
//
// Decoded rows are rounded where they lie, however near the center that is: |x|^2 is off by as much, and scores stop at
// zero, where bounds would not. (Not of residuals, whose centroid counts in norm.)
ScalarQueries::Margin ScalarQueries::margin(size_t query, const Partition& partition, float coarse) const {
    constexpr float kLanes = 8;  // AVX has sums in 16 lanes, plain C++ in 4: that is within the factor
    const float rounding = 4 * (float(tile_dim()) / kLanes + 32) * kUnit, largest = largest_norm_;
    const float norm = rounded_[query].norm + partition.centroid_norm, of_rows = l2_ ? rounding * largest : 0.0f;
    const float decoding = (2 * middle_norm_ + decoding_error_) * decoding_error_;
    return {rounding * (norm * (norm + 2 * largest) + std::abs(coarse)) + of_rows * middle_norm_ + decoding + FLT_MIN,
            (of_rows + 2 * decoding_error_) * largest_step_};
}

LaneTerms ScalarQueries::terms(size_t query, const Partition& partition, float coarse) const {
    const Query& q = rounded_[query];
    const Margin margin = this->margin(query, partition, coarse);
    const float factor = l2_ ? 2.0f : 1.0f, start = residual_ ? coarse : l2_ ? q.norm2 : 0.0f;
    return {.base = start - factor * q.low - margin.least,
            .scale = q.scale,
            .offset = q.offset,
            .error = -factor * q.error - margin.by_reach,
            .width = 2 * margin.least,
            .rounding = 0};
}

TileRows ScalarQueries::rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const {
    const Codes& codes = *partition.codes;
    const void* data = codes.code(first);
    size_t stride = codes.code_bytes();
    const size_t width = (tile_dim() + 3) / 4 * 4, unpacked = codec_.bits_ < 8 ? n * width : 0;
    const bool collects = l2_ && codes.use.singly;
    scratch.reserve(unpacked + (collects ? n * sizeof(float) : 0));
    if (codec_.bits_ < 8) {
        stride = width;
        for (size_t i = 0; i < n; ++i)
            codec_.unpack(codes.code(first + i), reinterpret_cast<uint8_t*>(scratch.bytes() + i * stride));
        data = scratch.bytes();
    }
    const float* add = l2_ && !collects ? codes.columns[Scalar::kAdd].at<float>(first) : nothing_.data();
    if (collects) {
        auto* collected = reinterpret_cast<float*>(scratch.bytes() + unpacked);
        for (size_t i = 0; i < n; ++i) collected[i] = codec_.add(codes, first + i);
        add = collected;
    }
    return {data, stride, factors_.data(), add, codes.columns[Scalar::kReach].at<float>(first), nullptr};
}

// The same sum in floats, all in one order.
void ScalarQueries::score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
                          float* out) const {
    constexpr size_t kBlock = 64;
    const Codes& codes = *partition.codes;
    const Query& q = rounded_[query];
    const size_t width = (tile_dim() + 3) / 4 * 4;
    std::vector<uint8_t> wide(codec_.bits_ < 8 ? std::min(n, kBlock) * width : 0);
    const float start = residual_ ? coarse : l2_ ? q.norm2 : 0.0f;
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        const void* rows[kBlock];
        for (size_t i = 0; i < count; ++i) {
            rows[i] = codes.code(positions[first + i]);
            if (codec_.bits_ == 8) continue;
            codec_.unpack(static_cast<const std::byte*>(rows[i]), &wide[i * width]);
            rows[i] = &wide[i * width];
        }
        simd::kernels().dot_u8(&weights_[query * tile_dim()], rows, tile_dim(), count, out + first);
        for (size_t i = first; i < first + count; ++i) {
            const float dot = q.low + out[i];
            out[i] = l2_ ? l2_score(start, dot, codec_.add(codes, positions[i])) : start - dot;
        }
    }
}

// As the tile has it, but all rows with the largest error.
float ScalarQueries::bound_run(size_t query, const Visit& visit, RowRange range, TileScratch& scratch,
                               float* lower) const {
    const size_t n = range.last - range.first;
    const LaneTerms terms = this->terms(query, *visit.partition, visit.coarse);
    const TileRows rows = this->rows(*visit.partition, range.first, n, scratch);
    const float factor = l2_ ? -2.0f : -1.0f, error = -terms.error * largest_size(rows.err, n);
    const simd::CodeQuery codes{&codes_[query * codes_apart_], tile_dim(), terms.base + factor * terms.offset - error,
                                factor * terms.scale};
    const auto* run = static_cast<const uint8_t*>(rows.data);
    simd::kernels().byte_run(codes, {run, rows.stride, n, rows.add}, lower);
    for (size_t i = 0; i < heavy_.size(); ++i) {
        const float weight = factor * heavy_weights(query)[i];
        for (size_t row = 0; row < n; ++row) lower[row] += weight * float(run[row * rows.stride + heavy_[i]]);
    }
    return terms.width + 2 * error;
}

}  // namespace annkit
