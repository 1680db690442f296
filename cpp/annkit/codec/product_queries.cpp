#include "annkit/codec/product_queries.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "annkit/codec/product_sums.h"

namespace annkit {
namespace {

constexpr size_t kEntries = 16;
constexpr float kUnit = FLT_EPSILON / 2;

float largest_norm(const ProductQuantizer& pq) {
    double sum = 0;
    for (size_t g = 0; g < pq.m(); ++g) {
        double most = 0;
        for (size_t c = 0; c < pq.entries(); ++c) {
            double norm = 0;
            for (size_t j = 0; j < pq.group(); ++j) norm += double(pq.centroid(g, c)[j]) * pq.centroid(g, c)[j];
            most = std::max(most, norm);
        }
        sum += most;
    }
    return float(std::sqrt(sum));
}

}  // namespace

ProductQueries::ProductQueries(const Product& codec, const CodeUse& use, const Rows& queries)
    : codec_(codec),
      l2_(use.metric != Metric::ip),
      residual_(use.residual),
      positions_((codec.quantizer().m() + 1) / 2 * 2),
      table_size_((codec.in_blocks() ? positions_ : codec.quantizer().m()) * codec.quantizer().entries()),
      reach_(largest_norm(codec.quantizer())),
      tables_(queries.n * table_size_),
      rounded_(queries.n),
      nibbles_(codec.in_blocks() ? queries.n * positions_ * kEntries : 0) {
    constexpr size_t kBlock = 64;
    for (size_t first = 0; first < queries.n; first += kBlock) {
        const FloatBlock block(queries.slice(first, std::min(kBlock, queries.n - first)), "the query", first);
        for (size_t i = 0; i < block.size(); ++i) {
            const size_t query = first + i;
            float* table = &tables_[query * table_size_];
            fill_table(block.row(i), table);
            if (codec.in_blocks())
                rounded_[query] =
                    round({table, table_size_}, std::sqrt(block.norm2(i)), &nibbles_[query * positions_ * kEntries]);
        }
    }
}

void ProductQueries::fill_table(const float* query, float* table) const {
    const ProductQuantizer& pq = codec_.quantizer();
    pq.scores(query, l2_ && !residual_, table);
    if (l2_ && residual_)
        for (size_t i = 0; i < pq.m() * pq.entries(); ++i) table[i] *= 2;
}

// Entries are taken from their group's least one and rounded down, in steps that are the same for all groups, as sums
// go by one scale: a sum of entries is a lower bound. The sum of all groups' largest has to fit 16 bits.
ProductQueries::Query ProductQueries::round(std::span<const float> table, float norm, uint8_t* nibbles) const {
    const size_t m = codec_.quantizer().m();
    const double most = double(std::min<size_t>(255, 65535 / m));
    double range = 0, low = 0, width = 0, magnitude = 0;
    for (size_t g = 0; g < m; ++g) {
        const auto [least, largest] = std::minmax_element(&table[g * kEntries], &table[g * kEntries] + kEntries);
        range = std::max(range, double(*largest) - *least);
        low += *least;
        magnitude += std::max(std::abs(*least), std::abs(*largest));
    }
    const auto scale = float(std::min<double>(range / most, FLT_MAX));
    const double inverse = scale > FLT_MIN ? 1 / double(scale) : 0.0;
    for (size_t g = 0; g < m; ++g) {
        const float* entries = &table[g * kEntries];
        const double least = *std::min_element(entries, entries + kEntries);
        double lost = 0;
        for (size_t c = 0; c < kEntries; ++c) {
            const double above = entries[c] - least, code = std::min(std::floor(above * inverse), most);
            nibbles[g * kEntries + c] = uint8_t(code);
            lost = std::max(lost, above - code * scale);
        }
        width += lost;
    }
    magnitude += 2 * double(norm) * reach_ + double(scale) * most * double(m);
    return {scale, float(low), float(width) * (1 + 4 * FLT_EPSILON), float(magnitude)};
}

const simd::TilePair& ProductQueries::tiles() const {
    static const simd::TilePair none{};
    return codec_.in_blocks() ? simd::kernels().nibble_codes : none;
}

// The margin is for the rounding of sums, here and of the canonical score.
LaneTerms ProductQueries::terms(size_t query, const Partition&, float coarse) const {
    const Query& q = rounded_[query];
    const float start = residual_ ? coarse : 0.0f;
    const float slack =
        4 * float(codec_.fitted_dim() + positions_ + 32) * kUnit * (q.magnitude + std::abs(start)) + FLT_MIN;
    return {.base = start + q.low - slack,
            .scale = q.scale,
            .offset = 0,
            .error = 0,
            .width = q.width + 2 * slack,
            .rounding = 4 * float(codec_.fitted_dim() + 32) * kUnit};
}

TileRows ProductQueries::rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const {
    const Codes& codes = *partition.codes;
    if (codes.columns.size() <= Product::kAdd) return {codes.block_of(first), 0, nullptr, nullptr, nullptr};
    scratch.mul.assign(std::max(n, scratch.mul.size()), 1.0f);
    return {codes.block_of(first), 0, scratch.mul.data(), codes.columns[Product::kAdd].at<float>(first), nullptr};
}

void ProductQueries::score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
                           float* out) const {
    const Codes& codes = *partition.codes;
    sum_entries(codec_.quantizer().m(), codec_.quantizer().bits(), table(query), codes, positions, n, out);
    if (!residual_) return;
    const bool add = codes.columns.size() > Product::kAdd;
    for (size_t i = 0; i < n; ++i) {
        const float beside = add ? *codes.columns[Product::kAdd].at<float>(positions[i]) : 0.0f;
        out[i] = (out[i] + beside) + coarse;
        if (l2_) out[i] = std::max(out[i], 0.0f);  // rounding might take it below
    }
}

}  // namespace annkit
