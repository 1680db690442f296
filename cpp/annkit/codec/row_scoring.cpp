#include "annkit/codec/row_scoring.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "annkit/core/score_bound.h"

namespace annkit {
namespace {

// Rows scored at a time: their scores stay in the first cache, and the bound is looked at once a block.
constexpr size_t kBlock = 1024;

}  // namespace

const float* floats_of(simd::Element element, const void* code, size_t dim, float* wide) {
    if (element == simd::kF32) return static_cast<const float*>(code);
    const simd::Kernels& kernels = simd::kernels();
    const auto widen = element == simd::kSplit ? kernels.join : kernels.widen[element == simd::kBf16];
    widen(static_cast<const uint16_t*>(code), dim, wide);
    return wide;
}

PreparedQueries::PreparedQueries(const RowScoring& scoring, const Rows& queries) : n_(queries.n), dim_(scoring.dim) {
    if (scoring.float_queries) {
        floats_.emplace(queries, "the query");
        return;
    }
    if (scoring.ip != nullptr) norms_.resize(n_);
    bytes_.resize(queries.n * dim_);
    if (scoring.encode) {
        scoring.encode(queries, bytes_.data());
        return;
    }
    for (size_t i = 0; i < queries.n; ++i) {
        copy_bytes(queries, i, &bytes_[i * dim_]);
        if (scoring.ip == nullptr) continue;
        const void* self = row(i);
        scoring.ip(self, &self, dim_, 1, &norms_[i]);
        norms_[i] = 0.0f - norms_[i];
    }
}

void RowScorer::query(const Rows& one) {
    own_.emplace(scoring_, one);
    query(own_->row(0), own_->norm2(0));
}

void RowScorer::query(const void* prepared, float norm2) {
    query_ = prepared;
    norm2_ = norm2;
    inverse_norm_ = inverse_norm(norm2);
}

template <class RowOf>
void RowScorer::finish(RowOf&& row_of, size_t n, float* scores) const {
    if (!scoring_.cosine()) return;
    const Column& norms = codes_.columns[RowScoring::kNorms];
    for (size_t i = 0; i < n; ++i)
        scores[i] = cosine_score(scores[i], inverse_norm(*norms.at<float>(row_of(i))), inverse_norm_);
}

void RowScorer::gather(const uint32_t* rows, size_t n, float* out) const {
    const void* codes[kBlock];
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        for (size_t i = 0; i < count; ++i) codes[i] = codes_.code(rows[first + i]);
        gather_codes(rows + first, codes, count, out + first);
    }
}

void RowScorer::gather_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const {
    scoring_.score(query_, codes, scoring_.dim, n, out);
    finish([rows](size_t i) { return rows[i]; }, n, out);
}

// What estimates from upper halves say of rows. Rounding moves x by at most |x| / 512, as much of `kMoved`. Sums are
// off by far less than `sums` of |q|^2 and |x|^2, or of squares of distances; FLT_MIN is more than what is too small
// for squares.
struct RowScorer::Upper {
    static constexpr float kMoved = 1.0f / 512;
    float norm2, sums;

    // The estimate, |q - x'|^2, of rows of which |q - x|^2 is at most `square`: |x| <= |q| + |q - x|.
    float estimate_of(float square) const {
        const float moved = root(square) * (1 + kMoved) + kMoved * std::sqrt(norm2);
        return moved * moved * (1 + sums) + FLT_MIN;
    }
    // The other way round.
    float square_of(float estimate) const {
        const float moved = (root(estimate) + kMoved * std::sqrt(norm2)) / (1 - kMoved);
        return moved * moved;
    }
    float root(float square) const { return std::sqrt(square * (1 + 2 * sums) + FLT_MIN); }

    // Turns squares into estimates of -q.x = (|q - x|^2 - |q|^2 - |x|^2) / 2, and returns what these are off by.
    float to_products(const Column& norms, const uint32_t* rows, std::span<float> estimates) const {
        float largest = 0, farthest = 0;
        for (size_t i = 0; i < estimates.size(); ++i) {
            const float x2 = *norms.at<float>(rows[i]);
            largest = std::max(largest, x2);
            farthest = std::max(farthest, estimates[i]);
            estimates[i] = (estimates[i] - norm2 - x2) / 2;
        }
        const float moved = kMoved * root(largest);
        return moved * (root(farthest) + moved) + sums * (norm2 + largest) + FLT_MIN;
    }
};

void RowScorer::gather_nearest(size_t k, float bound, const uint32_t* rows, size_t n, float* out) const {
    constexpr float kFar = std::numeric_limits<float>::infinity();
    if (scoring_.element != simd::kSplit || (n <= k && bound == kFar)) return gather(rows, n, out);
    const simd::Kernels& kernels = simd::kernels();
    const Upper upper{norm2_, 4 * (float(scoring_.dim) + 16) * FLT_EPSILON};
    const void* codes[kBlock];
    uint32_t near[kBlock];
    float exact[kBlock];
    for (size_t first = 0; first < n; first += kBlock, out += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        for (size_t i = 0; i < count; ++i) codes[i] = codes_.code(rows[first + i]);
        // Differences from the query are rounded less than products with it.
        kernels.l2[simd::kBf16](query_, codes, scoring_.dim, count, out);
        const bool l2 = is_l2(scoring_.metric);
        const float off = l2 ? 0.0f : upper.to_products(codes_.columns[RowScoring::kNorms], rows + first, {out, count});
        const float kth = k < count ? bound_with({out, count}, k, k + k / 4 + 1) : kFar;
        const float most =
            l2 ? upper.estimate_of(std::min(bound, upper.square_of(kth))) : std::min(bound, kth + off) + off;
        const size_t found = kernels.select(out, count, most, near);
        for (size_t i = 0; i < found; ++i) codes[i] = codes[near[i]];
        scoring_.score(query_, codes, scoring_.dim, found, exact);
        std::fill_n(out, count, kFar);
        for (size_t i = 0; i < found; ++i) out[near[i]] = exact[i];
    }
}

template <class RowOf>
void RowScorer::push_within(RowOf&& row_of, const float* scores, size_t n, TopK& top) const {
    uint32_t near[kBlock];
    const size_t found = simd::kernels().select(scores, n, top.bound(), near);
    for (size_t i = 0; i < found; ++i)
        if (scores[near[i]] <= top.bound()) top.push(scores[near[i]], row_of(near[i]));
}

void RowScorer::scan(RowRange range, const Bitset* allowed, TopK& top) const {
    if (allowed != nullptr) return scan_allowed(range, *allowed, top);
    float scores[kBlock];
    for (uint32_t row = range.first; row < range.last;) {
        const size_t n = std::min<size_t>({kBlock, range.last - row, codes_.run(row)});
        const auto row_of = [row](size_t i) { return uint32_t(row + i); };
        scoring_.scan(query_, codes_.code(row), scoring_.dim, n, scores);
        finish(row_of, n, scores);
        push_within(row_of, scores, n, top);
        row += uint32_t(n);
    }
}

void RowScorer::scan_allowed(RowRange range, const Bitset& allowed, TopK& top) const {
    float scores[kBlock];
    uint32_t rows[kBlock];
    for (uint32_t row = range.first; row < range.last;) {
        size_t n = 0;
        for (; n < kBlock && row < range.last; ++row)
            if (allowed.test(row)) rows[n++] = row;
        gather(rows, n, scores);
        push_within([&rows](size_t i) { return rows[i]; }, scores, n, top);
    }
}

}  // namespace annkit
