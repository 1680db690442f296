#include "annkit/codec/row_scoring.h"

#include <algorithm>

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
        scoring_.score(query_, codes, scoring_.dim, count, out + first);
    }
    finish([rows](size_t i) { return rows[i]; }, n, out);
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
