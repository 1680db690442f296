#include "annkit/math/byte_assigner.h"

#include <algorithm>
#include <limits>

#include "annkit/math/middle.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

const simd::Tile& byte_tile() { return simd::kernels().tiles[simd::kI8].wide; }

constexpr size_t kTaskPanels = 16;

}  // namespace

// score = |c - center|^2 - 2 (x - center).(c - center), which is |x - c|^2 up to a term of x alone.
struct ByteAssigner::Tiles {
    Tiles(std::span<const float> centroids, std::span<const float> penalty, const std::vector<float>& center)
        : k(centroids.size() / center.size()), stride(byte_tile().stride(center.size())), mul(k), add(k) {
        const size_t dim = center.size();
        std::vector<int8_t> codes(k * dim);
        std::vector<const void*> pointers(k);
        simd::I8Row rounded;
        for (size_t i = 0; i < k; ++i) {
            pointers[i] = &codes[i * dim];
            simd::kernels().to_i8(&centroids[i * dim], center.data(), dim, 0, &codes[i * dim], rounded);
            mul[i] = -2 * rounded.scale;
            add[i] = rounded.norm2 + (penalty.empty() ? 0.0f : penalty[i]);
        }
        packed = allocate(byte_tile().rows_bytes(dim, k));
        byte_tile().pack_rows(pointers.data(), k, dim, packed.get());
    }
    size_t k, stride;
    std::vector<float> mul, add;
    Buffer packed;
};

// Below these, rounding the rows costs more than it saves (measured at 10 rounds).
bool ByteAssigner::pays(const TrainingRows& rows, size_t k) {
    constexpr size_t kLeastDim = 16, kMostDim = 32768, kLeastCentroids = 64;  // kMostDim: sums fit 32 bits
    return simd::kernels().nearest_i8 != nullptr && rows.dim() >= kLeastDim && rows.dim() <= kMostDim &&
           k >= kLeastCentroids;
}

ByteAssigner::ByteAssigner(const TrainingRows& rows, const Call& call)
    : n_(rows.size()), dim_(rows.dim()), center_(middle_of(n_, dim_, [&](size_t i) { return rows.row(i); }).point) {
    const size_t lanes = byte_tile().lanes, panels = (n_ + lanes - 1) / lanes;
    panel_bytes_ = (byte_tile().panel_bytes(dim_) + 63) / 64 * 64;
    panels_ = allocate(panels * panel_bytes_);
    scales_.resize(panels);
    std::vector<double> lost(panels), spread(panels);
    parallel_apart(panels, threads_for(call, 8 * double(n_) * double(dim_)), call,
                   [&](size_t panel, int) { round_panel(rows, panel, lost[panel], spread[panel]); });
    for (const double one : lost) lost_ += one;
    for (const double one : spread) spread_ += one;
}

void ByteAssigner::round_panel(const TrainingRows& rows, size_t panel, double& lost, double& spread) {
    const auto to_i8 = simd::kernels().to_i8;
    const size_t lanes = byte_tile().lanes, first = panel * lanes, n = std::min(lanes, n_ - first);
    std::vector<int8_t> codes(n * dim_);
    const void* pointers[simd::kMaxLanes];
    simd::I8Row rounded;
    float scale = 0;
    for (size_t i = 0; i < n; ++i) {
        pointers[i] = &codes[i * dim_];
        to_i8(rows.row(first + i), center_.data(), dim_, 0, &codes[i * dim_], rounded);
        scale = std::max(scale, rounded.scale);
    }
    for (size_t i = 0; i < n; ++i) {
        to_i8(rows.row(first + i), center_.data(), dim_, scale, &codes[i * dim_], rounded);
        spread += rounded.norm2;
        lost += scale > 0 ? rounded.error2 : rounded.norm2;
    }
    scales_[panel] = scale;
    byte_tile().pack_queries(pointers, n, dim_, panels_.get() + panel * panel_bytes_);
}

void ByteAssigner::assign(std::span<const float> centroids, std::span<const float> penalty, uint32_t* assigned,
                          const Call& call) const {
    const Tiles tiles(centroids, penalty, center_);
    const double work = double(n_) * double(centroids.size()) / 4;
    parallel_apart((scales_.size() + kTaskPanels - 1) / kTaskPanels, threads_for(call, work), call,
                   [&](size_t task, int) {
                       const size_t first = task * kTaskPanels;
                       assign_panels(tiles, first, std::min(first + kTaskPanels, scales_.size()), assigned);
                   });
}

// A tile of centroids stays in the second cache while the panels pass over it.
void ByteAssigner::assign_panels(const Tiles& tiles, size_t first, size_t last, uint32_t* assigned) const {
    constexpr size_t kTileBytes = size_t(256) << 10, kStep = 12;
    const size_t lanes = byte_tile().lanes;
    const size_t tile_rows = std::max<size_t>(kTileBytes / tiles.stride / kStep, 1) * kStep;
    float best[kTaskPanels * simd::kMaxLanes];
    uint32_t nearest[kTaskPanels * simd::kMaxLanes] = {};
    std::fill_n(best, (last - first) * lanes, std::numeric_limits<float>::infinity());
    std::vector<float> mul(std::min(tile_rows, tiles.k));
    for (size_t row = 0; row < tiles.k; row += tile_rows)
        for (size_t p = first; p < last; ++p) {
            const size_t n = std::min(tile_rows, tiles.k - row), to = (p - first) * lanes;
            for (size_t i = 0; i < n; ++i) mul[i] = tiles.mul[row + i] * scales_[p];
            simd::kernels().nearest_i8({panels_.get() + p * panel_bytes_, tiles.packed.get() + row * tiles.stride,
                                        tiles.stride, dim_, n, uint32_t(row), mul.data(), &tiles.add[row], best + to,
                                        nearest + to});
        }
    std::copy_n(nearest, std::min(last * lanes, n_) - first * lanes, assigned + first * lanes);
}

}  // namespace annkit
