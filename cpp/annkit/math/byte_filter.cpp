#include "annkit/math/byte_filter.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

namespace annkit {
namespace {

// Lengths below this have squares that do not overflow, also several of them.
constexpr float kLargest = 1e18f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

const simd::Tile& byte_tile() { return simd::kernels().tiles[simd::kI8].wide; }

// Rounds up: a sum of so many squares, and the operations on its root.
float up(float x, size_t dim) { return x * (1 + (float(dim) + 16) * FLT_EPSILON); }

// At least |y - scale * code|; where there is no scale, y is too small for its squares to be trusted.
float error_of(const simd::I8Row& row, size_t dim) {
    const float tiny = row.scale == 0 ? 128 * simd::kLeastScale * std::sqrt(float(dim)) : 0;
    return std::max(tiny, up(std::sqrt(row.error2), dim));
}

}  // namespace

// Measured: below these, what is left to score costs more than the filter saves.
bool ByteFilter::pays(size_t k, size_t dim) {
    constexpr size_t kLeastDim = 48, kMostDim = 32768, kLeastCentroids = 768;  // kMostDim: sums fit 32 bits
    return simd::kernels().minima_i8 != nullptr && dim >= kLeastDim && dim <= kMostDim && k >= kLeastCentroids;
}

size_t ByteFilter::nbytes() const {
    const size_t floats = centroids_.capacity() + center_.capacity();
    return floats * sizeof(float) + rows_.capacity() * sizeof(Row) + byte_tile().rows_bytes(dim_, padded_);
}

ByteFilter::ByteFilter(std::span<const float> centroids, size_t dim, bool ip)
    : k_(centroids.size() / dim),
      padded_((k_ + simd::kMinimaRows - 1) / simd::kMinimaRows * simd::kMinimaRows),
      dim_(dim),
      stride_(byte_tile().stride(dim)),
      ip_(ip),
      centroids_(centroids.begin(), centroids.end()),
      center_(dim),
      rows_(k_) {
    std::vector<double> sum(dim);
    for (size_t i = 0; i < centroids.size(); ++i) sum[i % dim] += centroids[i];
    for (size_t j = 0; j < dim && !ip; ++j) center_[j] = float(sum[j] / double(k_));
    const std::vector<float> zero(dim);
    std::vector<int8_t> codes(padded_ * dim);
    std::vector<const void*> pointers(padded_);
    simd::I8Row rounded;
    for (size_t i = 0; i < padded_; ++i) {
        pointers[i] = &codes[i * dim];
        if (i >= k_) continue;
        simd::kernels().to_i8(&centroids[i * dim], zero.data(), dim, 0, &codes[i * dim], rounded);
        longest_ = std::max(longest_, up(std::sqrt(rounded.norm2), dim));
        simd::kernels().to_i8(&centroids[i * dim], center_.data(), dim, 0, &codes[i * dim], rounded);
        rows_[i] = {rounded.scale, error_of(rounded, dim), up(std::sqrt(rounded.norm2), dim)};
        longest_centered_ = std::max(longest_centered_, rows_[i].length);
    }
    packed_ = allocate(byte_tile().rows_bytes(dim, padded_));
    byte_tile().pack_rows(pointers.data(), padded_, dim, packed_.get());
}

// One block of rows. Bounds are of |x - c|^2 - |x - center|^2, or of -x.c.
class ByteFilter::Search {
  public:
    Search(const ByteFilter& filter, const FloatBlock& rows, const FloatCentroids& floats)
        : filter_(filter),
          rows_(rows),
          floats_(floats),
          blocks_(filter.padded_ / simd::kMinimaRows),
          lanes_(byte_tile().lanes),
          panels_((rows.size() + lanes_ - 1) / lanes_),
          minima_(panels_ * lanes_ * blocks_),
          mul_(filter.padded_),
          add_(filter.padded_, kInfinity),
          norms2_(panels_ * lanes_),
          first_(panels_ * lanes_),
          best_(rows.size(), kInfinity),
          nearest_(rows.size(), UINT32_MAX),
          largest_(std::max(filter.longest_, filter.longest_centered_)) {}

    bool run(uint32_t* nearest) {
        for (size_t p = 0; p < panels_; ++p) bound(p);
        if (!(largest_ < kLargest)) return false;
        for (size_t i = 0; i < rows_.size(); ++i) pairs_.push_back({first_[i], uint32_t(i)});
        score();
        for (size_t p = 0; p < panels_; ++p)
            if (!collect(p)) return false;
        score();
        std::copy(nearest_.begin(), nearest_.end(), nearest);
        return true;
    }

  private:
    struct Pair {
        uint32_t block, row;
        bool operator<(const Pair& other) const { return block != other.block ? block < other.block : row < other.row; }
    };

    // Lower bounds for the rows of a panel, rounded with one scale.
    void bound(size_t p) {
        const auto to_i8 = simd::kernels().to_i8;
        const size_t dim = filter_.dim_, from = p * lanes_, n = std::min(lanes_, rows_.size() - from);
        codes_.resize(lanes_ * dim);
        const void* pointers[simd::kMaxLanes];
        simd::I8Row rounded;
        float scale = 0, error = 0, length = 0;
        for (size_t i = 0; i < n; ++i) {
            pointers[i] = &codes_[i * dim];
            to_i8(rows_.row(from + i), filter_.center_.data(), dim, 0, &codes_[i * dim], rounded);
            scale = std::max(scale, rounded.scale);
        }
        for (size_t i = 0; i < n; ++i) {
            to_i8(rows_.row(from + i), filter_.center_.data(), dim, scale, &codes_[i * dim], rounded);
            norms2_[from + i] = rounded.norm2;
            error = std::max(error, error_of(rounded, dim));
            length = std::max(length, up(std::sqrt(rounded.norm2), dim));
            largest_ = std::max({largest_, length, std::sqrt(rows_.norm2(from + i))});
        }
        if (!panel_) panel_ = allocate(byte_tile().panel_bytes(dim));
        byte_tile().pack_queries(pointers, n, dim, panel_.get());
        const float factor = filter_.ip_ ? 1 : 2, square = filter_.ip_ ? 0 : 1;
        for (size_t i = 0; i < filter_.k_; ++i) {
            const Row& c = filter_.rows_[i];
            mul_[i] = -factor * scale * c.scale;
            add_[i] = square * c.length * c.length - factor * (length * c.error + error * (c.length + c.error));
        }
        float best[simd::kMaxLanes];
        std::fill_n(best, lanes_, kInfinity);
        simd::kernels().minima_i8({panel_.get(), filter_.packed_.get(), filter_.stride_, dim, filter_.padded_, 0,
                                   mul_.data(), add_.data(), best, &first_[from]},
                                  &minima_[from * blocks_]);
    }

    // What rounding floats may hide between a bound and the score best[row], and between two scores.
    float slack(size_t row, float distance) const {
        const float unit = (float(filter_.dim_) + 16) * FLT_EPSILON, c = filter_.longest_centered_;
        const float length = std::sqrt(rows_.norm2(row)), x = std::sqrt(norms2_[row]);
        const float scores = filter_.longest_ * (filter_.longest_ + 2 * length);
        return unit * (distance + norms2_[row] + 4 * c * (c + 2 * x) + 2 * scores);
    }

    // The blocks whose bounds do not exclude them, besides the first.
    bool collect(size_t p) {
        constexpr size_t kMostShare = 8;  // then floats alone are as fast
        const size_t from = p * lanes_, n = std::min(lanes_, rows_.size() - from);
        float limits[simd::kMaxLanes];
        std::fill_n(limits, lanes_, -kInfinity);
        for (size_t i = 0; i < n; ++i) {
            float distance = std::abs(best_[from + i]);
            const void* c = &filter_.centroids_[nearest_[from + i] * filter_.dim_];
            if (!filter_.ip_) simd::kernels().l2[simd::kF32](rows_.row(from + i), &c, filter_.dim_, 1, &distance);
            limits[i] = (filter_.ip_ ? best_[from + i] : distance - norms2_[from + i]) + slack(from + i, distance);
        }
        for (size_t b = 0; b < blocks_; ++b) {
            const float* minima = &minima_[from * blocks_ + b * lanes_];
            int any = 0;
            for (size_t i = 0; i < lanes_; ++i) any |= minima[i] <= limits[i];
            if (!any) continue;
            for (size_t i = 0; i < n; ++i)
                if (minima[i] <= limits[i] && first_[from + i] != b)
                    pairs_.push_back({uint32_t(b), uint32_t(from + i)});
        }
        return pairs_.size() <= (from + n) * blocks_ / kMostShare + rows_.size();
    }

    // In floats, rows that share a block side by side.
    void score() {
        std::sort(pairs_.begin(), pairs_.end());
        const simd::NearestTile& tile = simd::kernels().nearest;
        for (size_t first = 0; first < pairs_.size();) {
            size_t last = first + 1;
            while (last < pairs_.size() && last - first < tile.lanes && pairs_[last].block == pairs_[first].block)
                ++last;
            score(tile, std::span(pairs_).subspan(first, last - first));
            first = last;
        }
        pairs_.clear();
    }

    void score(const simd::NearestTile& tile, std::span<const Pair> pairs) {
        const size_t dim = filter_.dim_, row = pairs[0].block * simd::kMinimaRows;
        lane_rows_.resize(tile.lanes * dim);
        gathered_.resize(tile.lanes * dim);
        for (size_t i = 0; i < pairs.size(); ++i)
            std::memcpy(&lane_rows_[i * dim], rows_.row(pairs[i].row), dim * sizeof(float));
        tile.pack(lane_rows_.data(), dim, pairs.size(), dim, gathered_.data());
        float best[simd::kMaxLanes];
        uint32_t nearest[simd::kMaxLanes] = {};
        std::fill_n(best, tile.lanes, kInfinity);
        tile.run({gathered_.data(), floats_.rows + row * floats_.stride, floats_.stride, dim,
                  std::min(simd::kMinimaRows, floats_.n - row), uint32_t(row), nullptr, floats_.add + row, best,
                  nearest});
        for (size_t i = 0; i < pairs.size(); ++i) {
            float& least = best_[pairs[i].row];
            uint32_t& at = nearest_[pairs[i].row];
            if (best[i] < least || (best[i] == least && nearest[i] < at)) least = best[i], at = nearest[i];
        }
    }

    const ByteFilter& filter_;
    const FloatBlock& rows_;
    const FloatCentroids& floats_;
    size_t blocks_, lanes_, panels_;
    std::vector<float> minima_, mul_, add_, norms2_;  // norms2: |x - center|^2
    std::vector<uint32_t> first_;                     // the block with the lowest bound
    std::vector<float> best_;
    std::vector<uint32_t> nearest_;
    float largest_;  // of all lengths
    std::vector<Pair> pairs_;
    std::vector<int8_t> codes_;
    std::vector<float> lane_rows_, gathered_;
    Buffer panel_;
};

bool ByteFilter::find(const FloatBlock& rows, const FloatCentroids& floats, uint32_t* nearest) const {
    return Search(*this, rows, floats).run(nearest);
}

}  // namespace annkit
