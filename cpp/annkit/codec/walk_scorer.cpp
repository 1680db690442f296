#include "annkit/codec/walk_scorer.h"

#include <algorithm>

namespace annkit {

void WalkScorer::score(const uint32_t* rows, size_t n, float* out) const {
    constexpr size_t kBlock = 256;
    const void* codes[kBlock];
    const std::span<const WalkColumn> read = columns();
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        if (!read.empty())
            for (size_t i = 0; i < count; ++i) codes[i] = read[0].column->row(rows[first + i]);
        score_codes(rows + first, codes, count, out + first);
    }
}

CanonicalWalk::CanonicalWalk(const Codec& codec, Metric metric, const Codes& codes, size_t dim)
    : codec_(codec), codes_(codes), dim_(dim), scorer_(codec.scorer(metric, codes, dim)) {
    const Dtype type = codec.decoded();
    decoded_.resize(type == Dtype::bits ? dim / 8 : dim * element_size(type));
    for (const Column& column : codes.columns)
        if (codes.block == 1 || &column != codes.columns.data()) columns_.emplace_back(column);
}

void CanonicalWalk::query_row(uint32_t row) {
    const Dtype type = codec_.decoded();
    codec_.decode(codes_, row, dim_, decoded_.data());
    const auto width = ptrdiff_t(element_size(type));
    scorer_->query({decoded_.data(), 1, dim_, type, ptrdiff_t(decoded_.size()), width});
}

RowWalk::RowWalk(const RowScoring& scoring, const Codes& codes)
    : scoring_(scoring), codes_(codes), scorer_(scoring, codes), columns_{WalkColumn(codes.columns[0])} {
    if (scoring.cosine()) columns_.emplace_back(codes.columns[RowScoring::kNorms]);
    if (scoring.element == simd::kF16 || scoring.element == simd::kBf16) wide_.resize(scoring.dim);
}

void RowWalk::query_row(uint32_t row) {
    const void* query = codes_.code(row);
    if (!wide_.empty()) query = floats_of(scoring_.element, query, scoring_.dim, wide_.data());
    const bool bits = scoring_.ip == nullptr;
    scorer_.query(query, bits ? 0.0f : *codes_.columns[RowScoring::kNorms].at<float>(row));
}

}  // namespace annkit
