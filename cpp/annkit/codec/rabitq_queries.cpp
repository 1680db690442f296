#include "annkit/codec/rabitq_queries.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "annkit/codec/rabitq.h"
#include "annkit/codec/sign_sums.h"

namespace annkit {
namespace {

constexpr float kUnit = FLT_EPSILON / 2;
constexpr double kTableDeviations = 5;

float reach_of(const float* q) {
    return 0.5f * ((std::abs(q[0]) + std::abs(q[1])) + (std::abs(q[2]) + std::abs(q[3])));
}

}  // namespace

RabitqQueries::RabitqQueries(const RaBitQ& codec, const CodeUse& use, const Rows& queries, const Call& call)
    : bits_(codec.bits()),
      dim_(queries.dim),
      padded_(codec.padded()),
      planes_at_(RaBitQ::planes_at(use)),
      ip_(use.metric == Metric::ip),
      residual_(use.residual),
      rotated_(queries.n * padded_),
      tables_(queries.n * 4 * padded_),
      queries_(queries.n) {
    constexpr size_t kBlock = 16;
    parallel_blocks(queries.n, kBlock, threads_for(call, 32 * double(rotated_.size())), call,
                    [&](size_t first, size_t count) {
                        const FloatBlock block(queries.slice(first, count), "the query");
                        for (size_t i = 0; i < count; ++i) prepare(codec, block.row(i), first + i);
                    });
}

void RabitqQueries::prepare(const RaBitQ& codec, const float* x, size_t i) {
    float* q = &rotated_[i * padded_];
    const double norm2 = codec.rotate(x, codec.mean().data(), q, "query", i);
    double with_mean = 0, own2 = 0;
    for (size_t j = 0; j < dim_; ++j) {
        with_mean += double(x[j]) * codec.mean()[j];
        own2 += double(x[j]) * x[j];
    }
    queries_[i].norm2 = float(own2);
    queries_[i].own = ip_ ? -float(with_mean) : float(norm2);
    queries_[i].distance = float(std::sqrt(norm2));
    make_table(q, &tables_[i * 4 * padded_], queries_[i]);
}

// Sums of four entries lie in [-reach, reach]; all positions share one step, so that their bytes can be added.
void RabitqQueries::make_table(const float* q, uint8_t* table, Query& query) const {
    const size_t positions = padded_ / 4;
    const float top = float(std::min<size_t>(255, 65535 / positions));  // tiles add exactly below 2^16
    float most = 0, total = 0;
    for (size_t p = 0; p < positions; ++p) {
        const float reach = reach_of(q + 4 * p);
        most = std::max(most, reach);
        total += reach;
    }
    const float step = most > 0 ? 2 * most / top : 1.0f, inverse = most > 0 ? 1 / step : 0.0f;
    double low = 0, high = 0, offset = 0, squares = 0;
    for (size_t p = 0; p < positions; ++p) {
        float sums[kSignEntries], least = 0, largest = 0;
        sign_sums(q + 4 * p, sums);
        const float reach = reach_of(q + 4 * p);
        for (size_t code = 0; code < kSignEntries; ++code) {
            const float byte = std::min(float(int((sums[code] + reach) * inverse + 0.5f)), top);
            table[p * kSignEntries + code] = uint8_t(byte);
            const float miss = sums[code] - (byte * step - reach);
            least = code == 0 ? miss : std::min(least, miss);
            largest = code == 0 ? miss : std::max(largest, miss);
            squares += double(miss) * miss;
        }
        low += least;
        high += largest;
        offset -= reach;
    }
    query.step = step;
    query.offset = float(offset + (low + high) / 2);
    // What the bytes miss at most or, where the error of the signs is bounded by deviations too, five of theirs; and
    // rounding, here and in the canonical score.
    const double most_missed = (high - low) / 2, deviation = std::sqrt(squares / kSignEntries);
    const double missed = bits_ == 1 ? most_missed : std::min(most_missed, kTableDeviations * deviation);
    query.margin = float(missed) + 2 * kUnit * float(padded_ + 16) * total;
}

float RabitqQueries::distance(size_t query, const Partition& partition, float coarse) const {
    const Query& q = queries_[query];
    if (!partition.residual) return q.distance;
    if (!ip_) return std::sqrt(std::max(coarse, 0.0f));
    const float norm2 = q.norm2 + partition.centroid_norm * partition.centroid_norm, slack = 16 * kUnit * norm2;
    return std::sqrt(std::max(norm2 + 2 * coarse, 0.0f) + slack);
}

LaneTerms RabitqQueries::terms(size_t query, const Partition& partition, float coarse) const {
    const Query& q = queries_[query];
    const float base = partition.residual ? coarse : q.own;
    const float slack = 4 * kUnit * std::abs(base);
    LaneTerms terms;
    terms.base = base - slack;
    terms.width = 2 * slack;
    terms.scale = -weight() * q.step;
    terms.offset = -weight() * q.offset;
    // Of one bit the weights of errors are the factors themselves, and only the tables' rounding is to be covered.
    const float own = bits_ == 1 ? q.margin : RaBitQ::kFactorParts * q.margin + distance(query, partition, coarse);
    terms.error = -weight() * own;
    terms.rounding = 8 * kUnit;
    return terms;
}

TileRows RabitqQueries::rows(const Partition& partition, size_t first, size_t, TileScratch&) const {
    const Codes& codes = *partition.codes;
    const float* mul = codes.columns[RaBitQ::kMul].at<float>(first);
    const float* err = bits_ > 1 ? codes.columns[RaBitQ::kErr].at<float>(first) : mul;
    const float* add = codes.columns[RaBitQ::kAdd].at<float>(first);
    return {codes.block_of(first), 0, mul, add, err, add};
}

void RabitqQueries::score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
                          float* out) const {
    const Codes& codes = *partition.codes;
    const float* q = &rotated_[query * padded_];
    const float base = partition.residual ? coarse : queries_[query].own;
    const auto plane_dot = simd::kernels().plane_dot;
    std::vector<uint8_t> signs(padded_ / 8);
    for (size_t i = 0; i < n; ++i) {
        const uint32_t row = positions[i];
        float factor = *codes.columns[RaBitQ::kMul].at<float>(row), add = *codes.columns[RaBitQ::kAdd].at<float>(row);
        const std::byte* rest = nullptr;
        if (bits_ > 1) {
            rest = codes.columns[RaBitQ::kRest].row(row);
            std::memcpy(&factor, rest, sizeof factor);
            if (residual_) std::memcpy(&add, rest + sizeof factor, sizeof add);
            rest += planes_at_;
        }
        codes.get(row, reinterpret_cast<std::byte*>(signs.data()));
        const float dot = plane_dot(q, signs.data(), reinterpret_cast<const uint8_t*>(rest), bits_, padded_);
        out[i] = base + (factor * (-weight() * dot) + add);
    }
}

}  // namespace annkit
