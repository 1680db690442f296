#include "annkit/codec/raw_queries.h"

#include <algorithm>
#include <cfloat>

namespace annkit {

RawQueries::RawQueries(const RowScoring& scoring, const Rows& queries)
    : scoring_(scoring),
      l2_(is_l2(scoring.metric)),
      bits_(scoring.metric == Metric::hamming),
      queries_(scoring, queries),
      factors_(simd::kMostTileRows, l2_ ? -2.0f : -1.0f),
      nothing_(l2_ ? 0 : simd::kMostTileRows) {}

// Sums of d products, in whatever order, are off by at most d * u * |q| |x|, and that is at most the mean of |q|^2 and
// |x|^2; as in TileBatch.
LaneTerms RawQueries::terms(size_t query, const Partition&, float) const {
    if (bits_) return {};
    const float norm2 = queries_.norm2(query);
    const float relative = 4 * (float(scoring_.dim) + 16) * (FLT_EPSILON / 2);
    const float slack = relative * norm2 + FLT_MIN;
    return {.base = (l2_ ? norm2 : 0.0f) - slack, .width = 2 * slack, .rounding = relative};
}

TileRows RawQueries::rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const {
    const Codes& codes = *partition.codes;
    const simd::Tile& tile = scoring_.tiles.wide;  // narrow ones take the same rows
    const void* data = codes.code(first);
    size_t stride = codes.code_bytes();
    if (!scoring_.in_place) {
        stride = tile.stride(scoring_.dim);
        scratch.reserve(tile.rows_bytes(scoring_.dim, n));
        const void* pointers[simd::kMostTileRows];
        for (size_t i = 0; i < n; ++i) pointers[i] = codes.code(first + i);
        tile.pack_rows(pointers, n, scoring_.dim, scratch.bytes());
        data = scratch.bytes();
    }
    if (bits_) return {data, stride, nullptr, nullptr, nullptr, nullptr};
    const float* norms = codes.columns[RowScoring::kNorms].at<float>(first);
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
}

// Planes of bits take much more than the codes: as in TileBatch, they are to stay in the second cache.
size_t RawQueries::tile_rows() const {
    if (!bits_) return simd::kMostTileRows;
    constexpr size_t kTileBytes = size_t(128) << 10, kStep = 512;
    const size_t bytes = scoring_.tiles.wide.rows_bytes(scoring_.dim, kStep);
    return std::clamp(kTileBytes / bytes * kStep, kStep, simd::kMostTileRows);
}

float RawQueries::bound_run(size_t query, const Visit& visit, RowRange range, RunScratch&, float* lower) const {
    scoring_.scan(queries_.row(query), visit.partition->codes->code(range.first), scoring_.dim,
                  range.last - range.first, lower);
    return 0;
}

}  // namespace annkit
