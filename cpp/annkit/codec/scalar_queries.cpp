#include "annkit/codec/scalar_queries.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace annkit {
namespace {

constexpr float kUnit = FLT_EPSILON / 2;
constexpr float kUp = 1 + 8 * FLT_EPSILON;

}  // namespace

ScalarQueries::ScalarQueries(const Scalar& codec, const CodeUse& use, const Rows& queries)
    : codec_(codec),
      l2_(use.metric != Metric::ip),
      residual_(use.residual),
      queries_(queries, "the query"),
      codes_(queries.n * codec.low_.size()),
      factors_(simd::kMostTileRows, l2_ ? -2.0f : -1.0f),
      nothing_(l2_ ? 0 : simd::kMostTileRows) {
    double largest2 = 0;
    for (size_t j = 0; j < codec.low_.size(); ++j) {
        const double center = l2_ && !residual_ ? codec.center_[j] : 0.0f;
        const double low = codec.low_[j] - center, high = low + double(codec.step_[j]) * codec.most();
        largest2 += std::max(low * low, high * high);
    }
    largest_norm_ = float(std::sqrt(largest2)) * kUp;
    for (size_t i = 0; i < queries.n; ++i)
        rounded_.push_back(round(queries_.row(i), &codes_[i * codec.low_.size()]));
}

// q.x of x = low + step * u is q.low + w.u with w = q * step. With w = scale * w' + e:
//     w.u = scale * w'.u + (most / 2) * sum(e) + e.(u - most / 2), the last at most |e| times the code's reach.
ScalarQueries::Query ScalarQueries::round(const float* query, int8_t* codes) const {
    const size_t dim = codec_.low_.size();
    const auto levels = float(simd::kernels().byte_query_levels);
    const bool centered = l2_ && !residual_;
    float largest = 0;
    for (size_t j = 0; j < dim; ++j) {
        const float q = centered ? query[j] - codec_.center_[j] : query[j];
        largest = std::max(largest, std::abs(q * codec_.step_[j]));
    }
    const float scale = largest / levels, inverse = scale > FLT_MIN ? 1 / scale : 0.0f;
    double sum = 0, error2 = 0, low = 0, norm2 = 0;
    for (size_t j = 0; j < dim; ++j) {
        const float center = centered ? codec_.center_[j] : 0.0f, q = query[j] - center, w = q * codec_.step_[j];
        const float code = std::clamp(std::nearbyint(w * inverse), -levels, levels);
        codes[j] = int8_t(code);
        const double e = double(w) - double(scale) * code;
        sum += e;
        error2 += e * e;
        low += double(q) * (double(codec_.low_[j]) - center);
        norm2 += double(q) * q;
    }
    return {scale,      float(sum * codec_.most() / 2),       float(std::sqrt(error2)) * kUp, float(low),
            float(norm2), float(std::sqrt(norm2)) * kUp};
}

// The margin is for the rounding of sums, here and of the canonical score: see TileBatch.
LaneTerms ScalarQueries::terms(size_t query, const Partition& partition, float coarse) const {
    const Query& q = rounded_[query];
    const float factor = l2_ ? 2.0f : 1.0f, norm = q.norm + largest_norm_ + partition.centroid_norm;
    const float slack = 4 * (float(tile_dim()) + 32) * kUnit * (norm * norm + std::abs(coarse)) + FLT_MIN;
    const float start = residual_ ? coarse : l2_ ? q.norm2 : 0.0f;
    return {.base = start - factor * q.low - slack,
            .scale = q.scale,
            .offset = q.offset,
            .error = -factor * q.error,
            .width = 2 * slack,
            .rounding = 0};
}

TileRows ScalarQueries::rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const {
    const Codes& codes = *partition.codes;
    const void* data = codes.code(first);
    size_t stride = codes.code_bytes();
    if (codec_.bits_ < 8) {
        stride = (tile_dim() + 3) / 4 * 4;
        scratch.reserve(n * stride);
        for (size_t i = 0; i < n; ++i)
            codec_.unpack(codes.code(first + i), reinterpret_cast<uint8_t*>(scratch.bytes() + i * stride));
        data = scratch.bytes();
    }
    const float* add = l2_ ? codes.columns[Scalar::kAdd].at<float>(first) : nothing_.data();
    return {data, stride, factors_.data(), add, codes.columns[Scalar::kReach].at<float>(first), nullptr};
}

// The row decoded, and scored as any float row.
void ScalarQueries::score(size_t query, const Partition& partition, float, const uint32_t* positions, size_t n,
                          float* out) const {
    constexpr size_t kFloats = 4096, kMost = 4;
    alignas(64) float stack[kFloats];
    alignas(64) uint8_t wide[kFloats];
    const size_t dim = tile_dim(), together = std::clamp<size_t>(kFloats / dim, 1, kMost);
    std::vector<float> large(dim > kFloats ? dim : 0);
    std::vector<uint8_t> large_wide(dim > kFloats ? dim + 4 : 0);
    float* floats = large.empty() ? stack : large.data();
    uint8_t* bytes = large.empty() ? wide : large_wide.data();
    const simd::Kernels& k = simd::kernels();
    for (size_t i = 0; i < n; i += together) {
        const size_t count = std::min(together, n - i);
        const void* rows[kMost];
        for (size_t r = 0; r < count; ++r) {
            const std::byte* code = partition.codes->code(positions[i + r]);
            const auto* u = reinterpret_cast<const uint8_t*>(code);
            if (codec_.bits_ < 8) codec_.unpack(code, bytes), u = bytes;
            float* x = floats + r * dim;
            k.decode_u8(u, codec_.low_.data(), codec_.step_.data(), dim, x);
            for (size_t j = 0; partition.centroid != nullptr && j < dim; ++j) x[j] += partition.centroid[j];
            rows[r] = x;
        }
        (l2_ ? k.l2 : k.ip)[simd::kF32](queries_.row(query), rows, dim, count, out + i);
    }
}

}  // namespace annkit
