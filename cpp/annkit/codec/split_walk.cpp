#include "annkit/codec/split_walk.h"

#include <algorithm>

namespace annkit {
namespace {

// Rows nearer to the query than a sixteenth of its length get exact scores (as a share of squares). Rounding moves a
// row by about 1/600 of its length, in any direction: a score at that distance by 2 * 16 / 600 / sqrt(dim), 0.5 % at
// 128 dimensions. 20,000 rows of 200 dimensions far from the origin are found as whatever share is exact, up to 1/32.
constexpr float kNear = 1.0f / 256;

}  // namespace

SplitWalk::SplitWalk(const RowScoring& scoring, const Codes& codes)
    : scoring_(scoring), codes_(codes), columns_{WalkColumn(codes.columns[0])}, row_(scoring.dim) {
    columns_[0].bytes /= 2;
    if (!is_l2(scoring.metric)) columns_.emplace_back(codes.columns[RowScoring::kNorms]);
}

void SplitWalk::query(const Rows& one) {
    own_.emplace(scoring_, one);
    take(own_->row(0), own_->norm2(0));
}

void SplitWalk::query_row(uint32_t row) {
    take(floats_of(simd::kSplit, codes_.code(row), scoring_.dim, row_.data()),
         *codes_.columns[RowScoring::kNorms].at<float>(row));
}

void SplitWalk::take(const void* query, float norm2) {
    query_ = query;
    norm2_ = norm2;
}

void SplitWalk::score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const {
    constexpr size_t kBlock = 256;
    const Column& norms = codes_.columns[RowScoring::kNorms];
    const void* found_codes[kBlock];
    uint32_t near[kBlock];
    float exact[kBlock];
    for (size_t first = 0; first < n; first += kBlock, codes += kBlock, out += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        // Differences from the query are rounded less than products with it: also -q.x comes from |q - x|^2.
        simd::kernels().l2[simd::kBf16](query_, codes, scoring_.dim, count, out);
        const size_t found = simd::kernels().select(out, count, kNear * norm2_, near);
        if (!is_l2(scoring_.metric))
            for (size_t i = 0; i < count; ++i) out[i] = (out[i] - norm2_ - *norms.at<float>(rows[first + i])) / 2;
        if (found == 0) continue;
        for (size_t i = 0; i < found; ++i) found_codes[i] = codes[near[i]];
        scoring_.score(query_, found_codes, scoring_.dim, found, exact);
        for (size_t i = 0; i < found; ++i) out[near[i]] = exact[i];
    }
}

}  // namespace annkit
