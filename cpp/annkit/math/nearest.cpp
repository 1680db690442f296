#include "annkit/math/nearest.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "annkit/core/errors.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Centroids that stay in the second cache, beside the panels that pass over them.
constexpr size_t kTileBytes = size_t(256) << 10;
// Every kernel's block of rows divides this.
constexpr size_t kStep = 36;

// Shorter rows lie side by side, without padding to cache lines.
constexpr size_t kShortDim = 16;
// Measured: below these, what bytes leave to be scored costs more than they save.
constexpr size_t kLeastDim = 48, kLeastCentroids = 512;
// Fewer rows share too few blocks of centroids.
constexpr size_t kLeastFiltered = 512;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Rows of floats, less a point.
std::vector<float> less(const FloatView& rows, size_t n, std::span<const float> center) {
    std::vector<float> out(n * center.size());
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < center.size(); ++j) out[i * center.size() + j] = rows.row(i)[j] - center[j];
    return out;
}

}  // namespace

Nearest::Nearest(std::span<const float> centroids, size_t dim, bool ip, std::span<const float> penalty,
                 std::span<const float> center)
    : center_(center.begin(), center.end()), centroids_(centroids.begin(), centroids.end()), dim_(dim), ip_(ip) {
    check(dim > 0 && !centroids.empty() && centroids.size() % dim == 0, "got ", centroids.size(),
          " numbers, expected centroids of ", dim);
    const size_t n = centroids.size() / dim;
    check(n < UINT32_MAX, "got ", n, " centroids, expected fewer than 2^32 - 1");
    if (!center_.empty()) centroids_ = less(FloatView(Rows::of(centroids_.data(), n, dim)), n, center_);
    const simd::Kernels& k = simd::kernels();
    stride_ = dim < kShortDim ? dim * sizeof(float) : k.tiles[simd::kF32].wide.stride(dim);
    rows_ = allocate(n * stride_);
    add_.assign(n, 0);
    for (size_t i = 0; i < n; ++i) {
        auto* row = reinterpret_cast<float*>(rows_.get() + i * stride_);
        for (size_t j = 0; j < dim; ++j) row[j] = centroid(i)[j] * (ip ? -1.0f : -2.0f);
        const void* self = centroid(i);
        if (!ip) k.ip[simd::kF32](self, &self, dim, 1, &add_[i]);
        add_[i] = 0.0f - add_[i] + (penalty.empty() ? 0.0f : penalty[i]);
    }
    if (penalty.empty() && dim >= kLeastDim && n >= kLeastCentroids && ByteFilter::can(dim))
        filter_.emplace(std::span<const float>(centroids_), dim, ip);
}

size_t Nearest::nbytes() const {
    const size_t floats = center_.capacity() + centroids_.capacity() + add_.capacity();
    return floats * sizeof(float) + size() * stride_ + (filter_ ? filter_->nbytes() : 0);
}

void Nearest::find(const Rows& rows, uint32_t* nearest, float* scores, const Call& call) const {
    check(rows.dim == dim_, "the array has dimension ", rows.dim, ", the centroids have ", dim_);
    const double work = double(rows.n) * double(size()) * double(dim_);
    const auto score = (ip_ ? simd::kernels().ip : simd::kernels().l2)[simd::kF32];
    const bool filters = filter_ && rows.n >= kLeastFiltered;
    const int threads = threads_for(call, work);
    const size_t share = (rows.n / size_t(threads) + kBlock - 1) / kBlock * kBlock;
    const size_t step = filters ? std::clamp(share, kBlock, filter_->step()) : kBlock;
    std::atomic<bool> useful = filters;
    parallel_apart((rows.n + step - 1) / step, threads, call, [&](size_t task, int) {
        const size_t first = task * step, n = std::min(step, rows.n - first);
        Rows part = rows.slice(first, n);
        std::vector<float> moved;
        if (!center_.empty()) {
            moved = less(FloatBlock(part, "the array"), n, center_);
            part = Rows::of(moved.data(), n, dim_, part.first);
        }
        const FloatBlock block(part, "the array");
        if (!useful || !find_filtered(block, nearest + first)) {
            useful = false;
            for (size_t i = 0; i < n; i += kBlock)
                find_block(block.row(i), block.stride(), std::min(kBlock, n - i), nearest + first + i);
        }
        for (size_t i = 0; scores != nullptr && i < n; ++i) {
            const void* c = centroid(nearest[first + i]);
            score(block.row(i), &c, dim_, 1, &scores[first + i]);
        }
    });
}

bool Nearest::find_filtered(const FloatBlock& rows, uint32_t* nearest) const {
    const simd::NearestTile& tile = simd::kernels().nearest;
    std::vector<float> best(rows.size(), kInfinity), side_by_side(tile.lanes * dim_), panel(tile.lanes * dim_);
    std::vector<uint32_t> at(rows.size(), UINT32_MAX);
    const auto score = [&](size_t block, std::span<const uint32_t> some) {
        const size_t row = block * ByteFilter::kBlock, n = std::min(ByteFilter::kBlock, size() - row);
        for (size_t first = 0; first < some.size(); first += tile.lanes) {
            const std::span lanes = some.subspan(first, std::min(tile.lanes, some.size() - first));
            for (size_t i = 0; i < lanes.size(); ++i) std::copy_n(rows.row(lanes[i]), dim_, &side_by_side[i * dim_]);
            tile.pack(side_by_side.data(), dim_, lanes.size(), dim_, panel.data());
            float least[simd::kMaxLanes];
            uint32_t number[simd::kMaxLanes] = {};
            std::fill_n(least, tile.lanes, kInfinity);
            tile.run({panel.data(), rows_.get() + row * stride_, stride_, dim_, n, uint32_t(row), nullptr, &add_[row],
                      least, number});
            for (size_t i = 0; i < lanes.size(); ++i) {
                float& so_far = best[lanes[i]];
                uint32_t& where = at[lanes[i]];
                if (least[i] < so_far || (least[i] == so_far && number[i] < where))
                    so_far = least[i], where = number[i];
            }
        }
    };
    if (!filter_->find(rows, 1, {score, [&](size_t i) { return best[i]; }})) return false;
    std::copy(at.begin(), at.end(), nearest);
    return true;
}

void Nearest::find_block(const float* rows, size_t apart, size_t n, uint32_t* nearest) const {
    const simd::NearestTile& tile = simd::kernels().nearest;
    const size_t panels = (n + tile.lanes - 1) / tile.lanes, panel_floats = tile.lanes * dim_;
    const Buffer packed = allocate(panels * panel_floats * sizeof(float));
    auto* panel = reinterpret_cast<float*>(packed.get());
    std::vector<float> best(panels * tile.lanes, kInfinity);
    std::vector<uint32_t> at(panels * tile.lanes, 0);
    for (size_t p = 0; p < panels; ++p)
        tile.pack(rows + p * tile.lanes * apart, apart, std::min(tile.lanes, n - p * tile.lanes), dim_,
                  panel + p * panel_floats);
    const size_t tile_rows = std::max<size_t>(kTileBytes / stride_ / kStep, 1) * kStep;
    for (size_t first = 0; first < size(); first += tile_rows)
        for (size_t p = 0; p < panels; ++p)
            tile.run({panel + p * panel_floats, rows_.get() + first * stride_, stride_, dim_,
                      std::min(tile_rows, size() - first), uint32_t(first), nullptr, &add_[first],
                      &best[p * tile.lanes], &at[p * tile.lanes]});
    std::copy_n(at.data(), n, nearest);
}

}  // namespace annkit
