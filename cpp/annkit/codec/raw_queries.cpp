#include "annkit/codec/raw_queries.h"

#include <algorithm>
#include <cfloat>

namespace annkit {
namespace {

// Of so few dimensions all of |x|^2 - 2 q.x + |q|^2 is of whole numbers that float32 has: 255 * 255 * 258 < 2^24.
constexpr size_t kExactDim = 258;

bool is_exact(const RowScoring& scoring) {
    if (scoring.float_queries || scoring.cosine()) return false;
    return !is_l2(scoring.metric) || scoring.dim <= kExactDim;  // other products are rounded once, as scores are
}

}  // namespace

RawQueries::RawQueries(const RowScoring& scoring, const Rows& queries)
    : scoring_(scoring),
      l2_(is_l2(scoring.metric)),
      bits_(scoring.metric == Metric::hamming),
      exact_(is_exact(scoring)),
      queries_(scoring, queries),
      factors_(simd::kMostTileRows, l2_ ? -2.0f : -1.0f),
      nothing_(l2_ ? 0 : simd::kMostTileRows) {}

// Sums of d products, in whatever order, are off by at most d * u * |q| |x|, and that is at most the mean of |q|^2 and
// |x|^2; as in TileBatch. Those of bytes are whole numbers.
LaneTerms RawQueries::terms(size_t query, const Partition&, float) const {
    if (bits_) return {};
    if (exact_) return {.base = l2_ ? queries_.norm2(query) : 0.0f};
    const float norm2 = queries_.norm2(query);
    if (scoring_.cosine()) {
        constexpr float kSlack = 16 * FLT_EPSILON;  // several roundings of numbers up to 2
        return {.base = 1 - kSlack, .width = 2 * kSlack, .times = inverse_norm(norm2)};
    }
    const float relative = 4 * (float(scoring_.float_queries ? scoring_.dim : 0) + 16) * (FLT_EPSILON / 2);
    const float slack = relative * norm2 + FLT_MIN;
    return {.base = (l2_ ? norm2 : 0.0f) - slack, .width = 2 * slack, .rounding = relative};
}

TileRows RawQueries::rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const {
    const Codes& codes = *partition.codes;
    const simd::Tile& tile = scoring_.tiles.wide;  // narrow ones take the same rows
    const void* data = codes.code(first);
    size_t stride = codes.code_bytes(), packed = 0;
    if (!scoring_.in_place) {
        stride = tile.stride(scoring_.dim);
        packed = tile.rows_bytes(scoring_.dim, n);
        scratch.reserve(packed + (scoring_.cosine() ? n * sizeof(float) : 0));
        const void* pointers[simd::kMostTileRows];
        for (size_t i = 0; i < n; ++i) pointers[i] = codes.code(first + i);
        tile.pack_rows(pointers, n, scoring_.dim, scratch.bytes());
        data = scratch.bytes();
    }
    if (bits_) return {data, stride, nullptr, nullptr, nullptr, nullptr};
    const float* norms = codes.columns[RowScoring::kNorms].at<float>(first);
    if (scoring_.cosine()) {
        auto* inverse = reinterpret_cast<float*>(scratch.bytes() + packed);
        for (size_t i = 0; i < n; ++i) inverse[i] = -inverse_norm(norms[i]);
        return {data, stride, inverse, nothing_.data(), nullptr, nullptr};
    }
    return {data, stride, factors_.data(), l2_ ? norms : nothing_.data(), nullptr, norms};
}

void RawQueries::score(size_t query, const Partition& partition, float, const uint32_t* positions, size_t n,
                       float* out) const {
    constexpr size_t kBlock = 256;
    const void* rows[kBlock];
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        for (size_t i = 0; i < count; ++i) rows[i] = partition.codes->code(positions[first + i]);
        scoring_.score(queries_.row(query), rows, scoring_.dim, count, out + first);
    }
    finish(query, *partition.codes, [positions](size_t i) { return positions[i]; }, n, out);
}

template <class PlaceOf>
void RawQueries::finish(size_t query, const Codes& codes, PlaceOf&& position_of, size_t n, float* scores) const {
    if (!scoring_.cosine()) return;
    const float inverse = inverse_norm(queries_.norm2(query));
    const Column& norms = codes.columns[RowScoring::kNorms];
    for (size_t i = 0; i < n; ++i)
        scores[i] = cosine_score(scores[i], inverse_norm(*norms.at<float>(position_of(i))), inverse);
}

// Packed rows are to stay in the second cache, as in TileBatch. (Planes of bits take much more than the codes.)
size_t RawQueries::tile_rows() const {
    if (scoring_.float_queries || scoring_.tiles.wide.run == nullptr) return simd::kMostTileRows;
    constexpr size_t kTileBytes = size_t(128) << 10;
    const size_t step = bits_ ? 512 : 48;
    const size_t bytes = scoring_.tiles.wide.rows_bytes(scoring_.dim, step);
    return std::clamp(kTileBytes / bytes * step, step, simd::kMostTileRows / step * step);
}

float RawQueries::bound_run(size_t query, const Visit& visit, RowRange range, TileScratch&, float* lower) const {
    const Codes& codes = *visit.partition->codes;
    const size_t n = range.last - range.first;
    scoring_.scan(queries_.row(query), codes.code(range.first), scoring_.dim, n, lower);
    finish(query, codes, [&range](size_t i) { return range.first + i; }, n, lower);
    return 0;
}

}  // namespace annkit
