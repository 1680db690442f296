#include "annkit/codec/int8_filter.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace annkit {
namespace {

// Rounds up: a sum of so many squares, and the operations on its root.
float up(float x, size_t dim) { return x * (1 + (float(dim) + 16) * FLT_EPSILON); }

// At least |y - scale * code|. Rows without a scale are too small for their squares to be trusted.
float error_of(const simd::I8Row& row, size_t dim) {
    if (row.scale == 0) return 128 * simd::kLeastScale * std::sqrt(float(dim));
    return up(std::sqrt(row.error2), dim);
}

}  // namespace

FloatRows::FloatRows(const RowScoring& scoring, const Codes& codes)
    : element_(scoring.element), codes_(codes), wide_(element_ == simd::kF32 ? 0 : scoring.dim) {}

const float* FloatRows::row(uint32_t row) { return floats_of(element_, codes_.code(row), wide_.size(), wide_.data()); }

bool Int8Filter::pays(const RowScoring& scoring, size_t queries) {
    constexpr size_t kMostDim = 32768;  // sums fit 32 bits
    const size_t from = simd::kernels().filter_queries;
    return scoring.float_queries && from > 0 && queries >= from && queries * scoring.dim >= from * 128 &&
           scoring.dim <= kMostDim;
}

// The mean of a few rows that lie far apart.
Int8Filter::Int8Filter(const RowScoring& scoring, const Codes& codes) : scoring_(scoring), center_(scoring.dim) {
    constexpr size_t kSample = 64;
    const size_t n = is_l2(scoring.metric) ? std::min(kSample, codes.n) : 0;
    FloatRows rows(scoring, codes);
    for (size_t i = 0; i < n; ++i) {
        const float* x = rows.row(uint32_t(i * codes.n / n));
        for (size_t j = 0; j < scoring.dim; ++j) center_[j] += x[j] / float(n);
    }
}

QueryTerms Int8Filter::terms_of(float stored_norm2, float centered_norm2) const {
    if (is_l2(scoring_.metric)) return {1, centered_norm2, std::sqrt(centered_norm2)};
    const float norm = stored_norm2 > 0 ? 1.0f : 0.0f;
    if (scoring_.cosine()) return {norm, 1, norm};
    return {std::sqrt(stored_norm2), 0, norm};
}

// Where the metric lets it, queries get norm 1, so that one scale serves them all.
Int8Panel Int8Filter::panel(const simd::Tile& tile, const PreparedQueries& queries, size_t first, size_t n) const {
    const auto to_i8 = simd::kernels().to_i8;
    const size_t dim = scoring_.dim;
    Int8Panel out{&tile, allocate(tile.panel_bytes(dim)), 0, 0, 0, {}};
    std::vector<float> rows(n * dim);
    std::vector<int8_t> codes(n * dim);
    const void* pointers[simd::kMaxLanes];
    simd::I8Row rounded;
    for (size_t i = 0; i < n; ++i) {
        const float norm2 = queries.norm2(first + i), unit = is_l2(scoring_.metric) ? 1.0f : inverse_norm(norm2);
        const auto* q = static_cast<const float*>(queries.row(first + i));
        std::transform(q, q + dim, &rows[i * dim], [unit](float x) { return x * unit; });
        pointers[i] = &codes[i * dim];
        to_i8(&rows[i * dim], center_.data(), dim, 0, &codes[i * dim], rounded);
        out.scale = std::max(out.scale, rounded.scale);
        out.terms.push_back(terms_of(norm2, rounded.norm2));
        out.norm = std::max(out.norm, up(out.terms.back().norm, dim));
    }
    for (size_t i = 0; i < n; ++i) {
        to_i8(&rows[i * dim], center_.data(), dim, out.scale, &codes[i * dim], rounded);
        out.error = std::max(out.error, error_of(rounded, dim));
    }
    tile.pack_queries(pointers, n, dim, out.packed.get());
    return out;
}

Int8Rows::Int8Rows(const RowScoring& scoring, const Codes& codes, size_t most)
    : scoring_(scoring),
      codes_(codes),
      floats_(scoring, codes),
      bytes_(most * scoring.dim),
      pointers_(most),
      rows_(most),
      mul_(most),
      add_(most),
      widths_(most) {
    for (size_t i = 0; i < most; ++i) pointers_[i] = &bytes_[i * scoring.dim];
}

void Int8Rows::round(const float* center, const uint32_t* rows, size_t n) {
    const auto to_i8 = simd::kernels().to_i8;
    const Column& norms = codes_.columns[RowScoring::kNorms];
    const bool l2 = is_l2(scoring_.metric), cosine = scoring_.cosine();
    float largest = 0;
    simd::I8Row rounded;
    for (size_t i = 0; i < n; ++i) {
        to_i8(floats_.row(rows[i]), center, scoring_.dim, 0, &bytes_[i * scoring_.dim], rounded);
        const float norm2 = l2 ? rounded.norm2 : *norms.at<float>(rows[i]);
        const float factor = l2 ? 2.0f : cosine ? inverse_norm(norm2) : 1.0f;
        rows_[i] = {rounded.scale, error_of(rounded, scoring_.dim), norm2, up(std::sqrt(norm2), scoring_.dim), factor};
        largest = std::max(largest, norm2);
    }
    largest_norm_ = std::sqrt(largest);
    n_ = n;
    packed_for_ = nullptr;
}

void Int8Rows::bound(const Int8Panel& panel) {
    const float weight = is_l2(scoring_.metric) ? 1.0f : 0.0f;
    for (size_t i = 0; i < n_; ++i) {
        const Row& row = rows_[i];
        const float lost = row.factor * (panel.norm * row.error + panel.error * (row.length + row.error));
        mul_[i] = -row.factor * panel.scale * row.scale;
        add_[i] = weight * row.norm2 - lost;
        widths_[i] = 2 * lost;
    }
}

const std::byte* Int8Rows::pack(const simd::Tile& tile) {
    if (packed_for_ == &tile) return packed_.get();
    const size_t bytes = tile.rows_bytes(scoring_.dim, n_);
    if (bytes > packed_bytes_) {
        packed_bytes_ = std::max(bytes, tile.rows_bytes(scoring_.dim, rows_.size()));
        packed_ = allocate(packed_bytes_);
    }
    tile.pack_rows(pointers_.data(), n_, scoring_.dim, packed_.get());
    packed_for_ = &tile;
    return packed_.get();
}

}  // namespace annkit
