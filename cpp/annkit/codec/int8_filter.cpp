#include "annkit/codec/int8_filter.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace annkit {
namespace {

// Below this, squares of what rounding takes could vanish.
constexpr float kSmallest = 1e-10f;

// Rounds up: a sum of so many squares, and the operations on its root.
float up(float x, size_t dim) { return x * (1 + (float(dim) + 16) * FLT_EPSILON); }

// Rounds x to scale * code; returns at least |x - scale * code|.
float round_row(const float* x, size_t dim, float scale, int8_t* codes) {
    if (scale > 0) return up(std::sqrt(simd::kernels().to_i8(x, dim, scale, codes)), dim);
    std::fill(codes, codes + dim, int8_t(0));
    return kSmallest * std::sqrt(float(dim));
}

float scale_for(float largest) { return largest > kSmallest ? largest / 127 : 0.0f; }

}  // namespace

bool Int8Panel::pays(const RowScoring& scoring, size_t queries) {
    constexpr size_t kLeastDim = 16, kMostDim = 32768;
    const size_t from = simd::kernels().filter_queries;
    return scoring.float_queries && from > 0 && queries >= from && scoring.dim >= kLeastDim && scoring.dim <= kMostDim;
}

// Where the metric lets it, queries have norm 1, so that one scale serves them all.
Int8Panel::Int8Panel(const RowScoring& scoring, const simd::Tile& tile, const PreparedQueries& queries, size_t first,
                     size_t n)
    : codes(n * scoring.dim), packed(allocate(tile.panel_bytes(scoring.dim))) {
    const size_t dim = scoring.dim;
    std::vector<float> rows(n * dim);
    const void* pointers[simd::kMaxLanes];
    for (size_t i = 0; i < n; ++i) {
        const float norm2 = queries.norm2(first + i);
        const float unit = is_l2(scoring.metric) ? 1.0f : inverse_norm(norm2);
        const auto* q = static_cast<const float*>(queries.row(first + i));
        std::transform(q, q + dim, &rows[i * dim], [unit](float x) { return x * unit; });
        if (is_l2(scoring.metric))
            terms.push_back({1, norm2, std::sqrt(norm2)});
        else if (scoring.cosine())
            terms.push_back({unit > 0 ? 1.0f : 0.0f, 1, 1});
        else
            terms.push_back({std::sqrt(norm2), 0, 1});
        norm = std::max(norm, up(terms.back().norm, dim));
        pointers[i] = &codes[i * dim];
    }
    scale = scale_for(simd::kernels().largest(rows.data(), rows.size()));
    for (size_t i = 0; i < n; ++i) error = std::max(error, round_row(&rows[i * dim], dim, scale, &codes[i * dim]));
    tile.pack_queries(pointers, n, dim, packed.get());
}

void Int8Rows::quantize(const RowScoring& scoring, const Codes& codes, const uint32_t* rows, size_t n) {
    const simd::Kernels& k = simd::kernels();
    const size_t dim = scoring.dim;
    const bool halves = scoring.element != simd::kF32;
    bytes_.resize(std::max(bytes_.size(), n * dim));
    wide_.resize(halves ? dim : 0);
    const Column& norms = codes.columns[RowScoring::kNorms];
    for (size_t i = 0; i < n; ++i) {
        const std::byte* code = codes.code(rows[i]);
        if (halves) k.widen[scoring.element == simd::kBf16](reinterpret_cast<const uint16_t*>(code), dim, wide_.data());
        const float* x = halves ? wide_.data() : reinterpret_cast<const float*>(code);
        const float scale = scale_for(k.largest(x, dim));
        int8_t* bytes = &bytes_[i * dim];
        rows_[i] = {scale, round_row(x, dim, scale, bytes), *norms.at<float>(rows[i])};
        codes_of_[i] = bytes;
    }
    n_ = n;
    packed_for_ = nullptr;
}

void Int8Rows::bound(const RowScoring& scoring, const Int8Panel& panel) {
    const bool l2 = is_l2(scoring.metric), cosine = scoring.cosine();
    for (size_t i = 0; i < n_; ++i) {
        const Row row = rows_[i];
        const float length = up(std::sqrt(row.norm2), scoring.dim);
        const float factor = l2 ? 2.0f : cosine ? inverse_norm(row.norm2) : 1.0f;
        const float lost = factor * (panel.norm * row.error + panel.error * (length + row.error));
        mul_[i] = -factor * panel.scale * row.scale;
        add_[i] = (l2 ? row.norm2 : 0.0f) - lost;
        widths_[i] = 2 * lost;
    }
}

const std::byte* Int8Rows::pack(const simd::Tile& tile, size_t dim) {
    if (packed_for_ == &tile) return packed_.get();
    const size_t bytes = tile.rows_bytes(dim, n_);
    if (bytes > packed_bytes_) {
        packed_bytes_ = std::max(bytes, tile.rows_bytes(dim, rows_.size()));
        packed_ = allocate(packed_bytes_);
    }
    tile.pack_rows(codes_of_.data(), n_, dim, packed_.get());
    packed_for_ = &tile;
    return packed_.get();
}

}  // namespace annkit
