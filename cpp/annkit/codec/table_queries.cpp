#include "annkit/codec/table_queries.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <memory>

#include "annkit/codec/product_sums.h"

namespace annkit {
namespace {

constexpr float kUnit = FLT_EPSILON / 2;

// Of numbers, kLanes at a time, so that no addition waits for the one before.
constexpr size_t kLanes = 8;
template <class Number>
double sum(size_t n, Number&& number) {
    double lanes[kLanes] = {};
    for (size_t first = 0; first < n; first += kLanes)
        for (size_t i = 0; i < kLanes; ++i) lanes[i] += number(first + i);
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// An entry about a third up those of a group, a fifth up 256 of them: the largest of the least of each stripe.
template <size_t kStripes>
float near_entry(const float* table, size_t entries) {
    float least[kStripes];
    std::copy_n(table, kStripes, least);
    for (size_t e = kStripes; e < entries; e += kStripes)
        for (size_t i = 0; i < kStripes; ++i) least[i] = std::min(least[i], table[e + i]);
    return *std::max_element(least, least + kStripes);
}

}  // namespace

// Of each group's entries; zeros behind the last group.
struct TableQueries::Ranges {
    std::vector<float> least, largest, near;
    double most = DBL_MAX;  // that is told apart of a group

    explicit Ranges(size_t m) : least((m + kLanes - 1) / kLanes * kLanes), largest(least.size()) {}
    double whole(size_t g) const { return double(largest[g]) - least[g]; }
    double range(size_t g) const { return std::min(whole(g), most); }
    double low() const {
        return sum(least.size(), [&](size_t g) { return double(least[g]); });
    }
    double all() const {
        return sum(least.size(), [&](size_t g) { return range(g); });
    }
    double magnitude() const {
        return sum(least.size(), [&](size_t g) { return double(std::max(std::abs(least[g]), std::abs(largest[g]))); });
    }
    // Of squares.
    void cut(const float* table, size_t m, size_t entries);
    // The largest sum of the ranges of groups whose bytes are added.
    double most_together(simd::ByteSums of) const {
        const size_t n = least.size(), block = of.together * of.apart;
        double most = 0;
        for (size_t first = 0; first < n; first += block)
            for (size_t i = first; i < std::min(first + of.apart, n); ++i) {
                double sum = 0;
                for (size_t g = i; g < std::min(first + block, n); g += of.apart) sum += range(g);
                most = std::max(most, sum);
            }
        return most;
    }
    // What rounding takes, and where more steps than that were cut.
    double width(double scale, double steps) const {
        return sum(least.size(),
                   [&](size_t g) { return whole(g) > (steps + 1) * scale ? whole(g) : std::min(whole(g), scale); });
    }
};

// The nearest rows are seldom far in any group. Where some entries are very far, steps that told those apart would tell
// nothing of the others: what is beyond several times the near entry of most groups counts as so far.
void TableQueries::Ranges::cut(const float* table, size_t m, size_t entries) {
    constexpr double kTimes = 16;
    near.resize(m);
    double all = 0, farthest = 0;
    for (size_t g = 0; g < m; ++g, table += entries) {
        near[g] = (entries == 16 ? near_entry<4>(table, entries) : near_entry<16>(table, entries)) - least[g];
        all += near[g];
        farthest = std::max(farthest, whole(g));
    }
    most = DBL_MAX;
    if (farthest * double(m) <= kTimes * all) return;
    const auto some = std::partition(near.begin(), near.end(), [](float x) { return x > 0; });
    const auto n = some - near.begin();
    if (n == 0) return;
    std::nth_element(near.begin(), near.begin() + n / 2, some);
    most = kTimes * near[size_t(n / 2)];
}

TableQueries::TableQueries(CodeGroups groups, const CodeUse& use, const Rows& queries, const Call& call)
    : groups_(std::move(groups)),
      l2_(use.metric != Metric::ip),
      residual_(use.residual),
      positions_(groups_.bits == 4 ? (groups_.m + 1) / 2 * 2 : groups_.m),
      table_size_(positions_ * groups_.entries()),
      rounded_(queries.n),
      ones_(tiles().wide.run != nullptr && l2_ && residual_ ? kMostRows : 0, 1.0f) {
    reserve(queries.n);
    constexpr size_t kBlock = 16;
    const int threads = threads_for(call, double(queries.n * table_size_) * double(groups_.dim / groups_.m + 4));
    parallel_blocks(queries.n, kBlock, threads, call, [&](size_t first, size_t count) {
        const FloatBlock block(queries.slice(first, count), "the query");
        Ranges ranges(groups_.m);
        for (size_t i = 0; i < count; ++i) {
            const size_t query = first + i;
            float* table = tables_ + query * table_size_;
            std::fill_n(table + table_size_ - groups_.entries(), groups_.entries(), 0.0f);
            groups_.fill(block.row(i), table);
            if (steps_ == nullptr) continue;
            uint8_t* steps = steps_ + query * table_size_;
            rounded_[query] = round(table, std::sqrt(block.norm2(i)), ranges, steps);
            std::fill(steps + groups_.m * groups_.entries(), steps + table_size_, uint8_t(0));
        }
    });
}

// A table begins where a line of the cache does.
void TableQueries::reserve(size_t queries) {
    constexpr size_t kLine = 64;
    const bool tiled = tiles().wide.run != nullptr;
    size_t bytes = queries * table_size_ * (sizeof(float) + (tiled ? sizeof(uint8_t) : 0)) + kLine;
    memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    void* first = memory_.get();
    tables_ = static_cast<float*>(std::align(kLine, bytes - kLine, first, bytes));
    if (tiled) steps_ = reinterpret_cast<uint8_t*>(tables_ + queries * table_size_);
}

// Entries are taken from their group's least one and rounded down, in steps that are the same for all groups, as sums
// go by one scale: a sum of entries is a lower bound. Steps are so large that groups whose bytes the tiles add up reach
// 255 at most, which they are fastest with, and all of them less than 2^16. (SIFT, 200,000 rows in 32 groups: with
// entries up to 255, 14 rows have bounds below the tenth best score, and up to 63 it is 34.) Of 8 bits, a group at
// most. Entries that are cut bound from below, too.
TableQueries::Query TableQueries::round(const float* table, float norm, Ranges& ranges, uint8_t* steps) const {
    constexpr double kByte = 255, kAll = 65535;
    const simd::Kernels& kernels = simd::kernels();
    const size_t m = groups_.m, entries = groups_.entries();
    kernels.table_ranges(table, m, entries, ranges.least.data(), ranges.largest.data());
    if (groups_.has_far && l2_ && !residual_) ranges.cut(table, m, entries);
    const double all = ranges.all();
    const double together = ranges.most_together(groups_.in_blocks ? kernels.nibble_sums : simd::ByteSums{});
    // A tile wants it above 0.
    const auto scale =
        float(std::clamp<double>(std::max(together / kByte, all / kAll) * (1 + FLT_EPSILON), FLT_MIN, FLT_MAX));
    kernels.round_tables(table, m, entries, ranges.least.data(), 1 / scale, steps);
    const auto most = uint8_t(std::min(ranges.most / scale, kByte));
    if (most < kByte) std::transform(steps, steps + m * entries, steps, [=](uint8_t x) { return std::min(x, most); });
    const double products = l2_ && !residual_ ? 0.0 : 2 * double(norm) * groups_.reach;
    const double magnitude = ranges.magnitude() + products + all;
    return {scale, float(ranges.low()), float(ranges.width(scale, most)) * (1 + 4 * FLT_EPSILON), float(magnitude)};
}

const simd::TilePair& TableQueries::tiles() const {
    static const simd::TilePair none{};
    if (groups_.in_blocks) return simd::kernels().nibble_codes;
    return groups_.bits == 8 && groups_.m <= simd::kMostGroups ? simd::kernels().byte_tables : none;
}

// The margin is for the rounding of sums, here and of the canonical score.
LaneTerms TableQueries::terms(size_t query, const Partition& partition, float coarse) const {
    const Query& q = rounded_[query];
    // Squares of distances: rounding takes a share of them, which is little where they are small.
    if (l2_ && !residual_) {
        const float share = 4 * float(positions_ + 32) * kUnit;
        return {.base = q.low * (1 - share) - FLT_MIN,
                .scale = q.scale * (1 - share),
                .width = q.width + 2 * share * q.magnitude + FLT_MIN};
    }
    const float start = residual_ ? coarse : 0.0f;
    float beside = 0;  // the largest that |c + r|^2 - |c|^2 can be
    if (l2_ && residual_) beside = groups_.reach * (groups_.reach + 2 * partition.centroid_norm);
    const float size = q.magnitude + std::abs(start) + beside;
    const float slack = 4 * float(groups_.dim + positions_ + 32) * kUnit * size + FLT_MIN;
    return {.base = start + q.low - slack, .scale = q.scale, .width = q.width + 2 * slack};
}

TileRows TableQueries::rows(const Partition& partition, size_t first, size_t, TileScratch&) const {
    const Codes& codes = *partition.codes;
    TileRows rows{};
    rows.data = codes.block_of(first);
    rows.stride = codes.code_bytes();
    if (codes.columns.size() <= kAdd) return rows;
    rows.mul = ones_.data();
    rows.add = codes.columns[kAdd].at<float>(first);
    return rows;
}

void TableQueries::score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
                         float* out) const {
    const Codes& codes = *partition.codes;
    sum_entries(groups_.m, groups_.bits, table(query), codes, positions, n, out);
    if (!residual_) return;
    const bool add = codes.columns.size() > kAdd;
    for (size_t i = 0; i < n; ++i) {
        const float beside = add ? *codes.columns[kAdd].at<float>(positions[i]) : 0.0f;
        out[i] = (out[i] + beside) + coarse;
        if (l2_) out[i] = std::max(out[i], 0.0f);  // rounding might take it below
    }
}

}  // namespace annkit
