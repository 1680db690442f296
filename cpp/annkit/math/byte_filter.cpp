#include "annkit/math/byte_filter.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "annkit/math/middle.h"
#include "annkit/math/smallest.h"
#include "annkit/math/wide_dimensions.h"

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

bool ByteFilter::can(size_t dim) {
    constexpr size_t kMostDim = 32768;  // sums fit 32 bits
    return simd::kernels().minima_i8 != nullptr && dim <= kMostDim;
}

size_t ByteFilter::nbytes() const {
    return (center_.capacity() + wide_of_.capacity()) * sizeof(float) + wide_.capacity() * sizeof(uint32_t) +
           rows_.capacity() * sizeof(Row) + byte_tile().rows_bytes(dim_, padded_);
}

// Queries are taken to lie where centroids do: a dimension's part in products is then its variance.
void ByteFilter::find_wide(std::span<const float> centroids) {
    constexpr double kTimes = 16;
    std::vector<double> squares(dim_);
    for (size_t i = 0; i < k_; ++i)
        for (size_t j = 0; j < dim_; ++j) {
            const double x = double(centroids[i * dim_ + j]) - center_[j];
            squares[j] += x * x;
        }
    wide_ = wide_dimensions(squares, kTimes, simd::kMostHeavy);
    wide_of_.assign(wide_.size() * padded_, 0.0f);
}

// Copies x, with the center in place of wide dimensions, of which take(which, x - center) is told. Returns the sum of
// their squares.
template <class Take>
float ByteFilter::take_wide(const float* x, float* narrow, Take&& take) const {
    std::copy_n(x, dim_, narrow);
    float squares = 0;
    for (size_t i = 0; i < wide_.size(); ++i) {
        const float apart = x[wide_[i]] - center_[wide_[i]];
        narrow[wide_[i]] = center_[wide_[i]];
        squares += apart * apart;
        take(i, apart);
    }
    return squares;
}

ByteFilter::ByteFilter(std::span<const float> centroids, size_t dim, bool ip)
    : k_(centroids.size() / dim),
      padded_((k_ + simd::kMinimaRows - 1) / simd::kMinimaRows * simd::kMinimaRows),
      dim_(dim),
      stride_(byte_tile().stride(dim)),
      ip_(ip),
      center_(dim),
      rows_(k_) {
    if (!ip) center_ = middle_of(k_, dim, [&](size_t i) { return &centroids[i * dim]; }).point;
    find_wide(centroids);
    const std::vector<float> zero(dim);
    std::vector<float> narrow(dim);
    std::vector<int8_t> codes(padded_ * dim);
    std::vector<const void*> pointers(padded_);
    simd::I8Row rounded;
    for (size_t i = 0; i < padded_; ++i) {
        pointers[i] = &codes[i * dim];
        if (i >= k_) continue;
        const float* c = &centroids[i * dim];
        simd::kernels().to_i8(c, zero.data(), dim, 0, &codes[i * dim], rounded);
        longest_ = std::max(longest_, up(std::sqrt(rounded.norm2), dim));
        const float wide2 =
            take_wide(c, narrow.data(), [&](size_t which, float x) { wide_of_[which * padded_ + i] = factor() * x; });
        simd::kernels().to_i8(narrow.data(), center_.data(), dim, 0, &codes[i * dim], rounded);
        rows_[i] = {rounded.scale, error_of(rounded, dim), up(std::sqrt(rounded.norm2), dim), rounded.norm2 + wide2};
        longest_centered_ = std::max(longest_centered_, up(std::sqrt(rows_[i].norm2), dim));
    }
    packed_ = allocate(byte_tile().rows_bytes(dim, padded_));
    byte_tile().pack_rows(pointers.data(), padded_, dim, packed_.get());
}

// One block of rows. Bounds are of |x - c|^2 - |x - center|^2, or of -x.c.
class ByteFilter::Search {
  public:
    Search(const ByteFilter& filter, const FloatBlock& rows, size_t count, const Scoring& scoring)
        : filter_(filter),
          rows_(rows),
          count_(count),
          scoring_(scoring),
          blocks_(filter.padded_ / kBlock),
          lanes_(byte_tile().lanes),
          panels_((rows.size() + lanes_ - 1) / lanes_),
          minima_(panels_ * lanes_ * blocks_),
          mul_(filter.padded_),
          add_(filter.padded_, kInfinity),
          norms2_(panels_ * lanes_),
          first_(panels_ * lanes_),
          narrow_(filter.wide_.empty() ? 0 : filter.dim_),
          wide_lanes_(filter.wide_.size() * lanes_),
          largest_(std::max(filter.longest_, filter.longest_centered_)) {}

    // A panel goes first and tells whether the others are worth it.
    bool run() { return run(0, 1) && run(1, panels_); }

  private:
    struct Pair {
        uint32_t block, row;
    };

    bool run(size_t first, size_t last) {
        for (size_t p = first; p < last; ++p) bound(p);
        if (!(largest_ < kLargest)) return false;
        for (size_t i = first * lanes_; i < std::min(last * lanes_, rows_.size()); ++i) choose(uint32_t(i));
        score();
        for (size_t p = first; p < last; ++p) collect(p);
        constexpr size_t kMostShare = 8;  // then floats alone are as fast
        if (pairs_.size() > (last - first) * lanes_ * blocks_ / kMostShare) return false;
        score();
        return true;
    }

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
            to_i8(narrow(from + i, i), filter_.center_.data(), dim, 0, &codes_[i * dim], rounded);
            scale = std::max(scale, rounded.scale);
        }
        for (size_t i = 0; i < n; ++i) {
            to_i8(narrow(from + i, i), filter_.center_.data(), dim, scale, &codes_[i * dim], rounded);
            norms2_[from + i] = rounded.norm2 + wide2_;
            error = std::max(error, error_of(rounded, dim));
            length = std::max(length, up(std::sqrt(rounded.norm2), dim));
            largest_ = std::max({largest_, std::sqrt(norms2_[from + i]), std::sqrt(rows_.norm2(from + i))});
        }
        if (!panel_) panel_ = allocate(byte_tile().panel_bytes(dim));
        byte_tile().pack_queries(pointers, n, dim, panel_.get());
        const float factor = -filter_.factor(), square = filter_.ip_ ? 0 : 1;
        for (size_t i = 0; i < filter_.k_; ++i) {
            const Row& c = filter_.rows_[i];
            mul_[i] = -factor * scale * c.scale;
            add_[i] = square * c.norm2 - factor * (length * c.error + error * (c.length + c.error));
        }
        float best[simd::kMaxLanes];
        std::fill_n(best, lanes_, kInfinity);
        simd::kernels().minima_i8(
            {panel_.get(), filter_.packed_.get(), filter_.stride_, dim, filter_.padded_, 0, mul_.data(), add_.data(),
             best, &first_[from], filter_.wide_.size(), filter_.wide_of_.data(), wide_lanes_.data()},
            &minima_[from * blocks_]);
    }

    // A row without its wide dimensions, which go to a panel's lane.
    const float* narrow(size_t row, size_t lane) {
        if (filter_.wide_.empty()) return rows_.row(row);
        wide2_ = filter_.take_wide(rows_.row(row), narrow_.data(),
                                   [&](size_t which, float x) { wide_lanes_[which * lanes_ + lane] = x; });
        return narrow_.data();
    }

    float& minimum(size_t row, size_t block) {
        return minima_[row / lanes_ * lanes_ * blocks_ + block * lanes_ + row % lanes_];
    }

    // The blocks of lowest bounds, which are not collected again.
    void choose(uint32_t row) {
        const uint32_t* chosen = &first_[row];
        if (count_ > 1) {
            lower_.resize(blocks_);
            for (size_t b = 0; b < blocks_; ++b) lower_[b] = minimum(row, b);
            chosen = smallest_.of(lower_.data(), blocks_, count_);
        }
        for (size_t i = 0; i < count_; ++i) {
            pairs_.push_back({chosen[i], row});
            minimum(row, chosen[i]) = kInfinity;
        }
    }

    // A bound of the scores up to this one, with what rounding may hide between the two, and between two scores.
    float limit(size_t row, float score) const {
        const float unit = (float(filter_.dim_) + 16) * FLT_EPSILON, c = filter_.longest_centered_;
        const float length = std::sqrt(rows_.norm2(row)), x = std::sqrt(norms2_[row]);
        const float slack = 4 * c * (c + 2 * x) + 2 * filter_.longest_ * (filter_.longest_ + 2 * length);
        if (filter_.ip_) return score + unit * slack;
        const float far = rows_.norm2(row), near = norms2_[row];
        return score + (far - near) + unit * (slack + far + near);
    }

    // The blocks whose bounds do not exclude them, besides the first.
    void collect(size_t p) {
        const size_t from = p * lanes_, n = std::min(lanes_, rows_.size() - from);
        float limits[simd::kMaxLanes];
        std::fill_n(limits, lanes_, -kInfinity);
        for (size_t i = 0; i < n; ++i) limits[i] = limit(from + i, scoring_.limit(from + i));
        for (size_t b = 0; b < blocks_; ++b) {
            const float* minima = &minima_[from * blocks_ + b * lanes_];
            int any = 0;
            for (size_t i = 0; i < lanes_; ++i) any |= minima[i] <= limits[i];
            if (!any) continue;
            for (size_t i = 0; i < n; ++i)
                if (minima[i] <= limits[i]) pairs_.push_back({uint32_t(b), uint32_t(from + i)});
        }
    }

    // Rows that share a block side by side.
    void score() {
        std::vector<uint32_t> next(blocks_ + 1), rows(pairs_.size());
        for (const Pair& pair : pairs_) ++next[pair.block + 1];
        for (size_t b = 0; b < blocks_; ++b) next[b + 1] += next[b];
        for (const Pair& pair : pairs_) rows[next[pair.block]++] = pair.row;
        for (size_t b = 0, first = 0; b < blocks_; first = next[b++])
            if (next[b] > first) scoring_.score(b, std::span(rows).subspan(first, next[b] - first));
        pairs_.clear();
    }

    const ByteFilter& filter_;
    const FloatBlock& rows_;
    size_t count_;
    const Scoring& scoring_;
    size_t blocks_, lanes_, panels_;
    std::vector<float> minima_, mul_, add_, norms2_;  // norms2: |x - center|^2
    std::vector<uint32_t> first_;                     // the block with the lowest bound
    std::vector<float> narrow_, wide_lanes_;          // a row, and the wide dimensions of a panel
    float wide2_ = 0;                                 // the squares of a row's
    float largest_;                                   // of all lengths
    std::vector<Pair> pairs_;
    std::vector<float> lower_;
    Smallest smallest_;
    std::vector<int8_t> codes_;
    Buffer panel_;
};

bool ByteFilter::find(const FloatBlock& rows, size_t count, const Scoring& scoring) const {
    return Search(*this, rows, count, scoring).run();
}

}  // namespace annkit
