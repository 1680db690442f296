#include "annkit/math/byte_assigner.h"

#include <algorithm>
#include <limits>

#include "annkit/math/middle.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

const simd::Tile& byte_tile() { return simd::kernels().tiles[simd::kI8].wide; }

}  // namespace

ByteAssigner::Tiles ByteAssigner::round(std::span<const float> centroids, std::span<const float> penalty) const {
    const size_t k = centroids.size() / dim_;
    Tiles tiles{k, byte_tile().stride(dim_), std::vector<float>(k), std::vector<float>(k), {}};
    std::vector<int8_t> codes(k * dim_);
    std::vector<const void*> pointers(k);
    simd::I8Row rounded;
    for (size_t i = 0; i < k; ++i) {
        pointers[i] = &codes[i * dim_];
        simd::kernels().to_i8(&centroids[i * dim_], center_.data(), dim_, 0, &codes[i * dim_], rounded);
        tiles.mul[i] = -2 * rounded.scale;
        tiles.add[i] = rounded.norm2 + (penalty.empty() ? 0.0f : penalty[i]);
    }
    tiles.packed = allocate(byte_tile().rows_bytes(dim_, k));
    byte_tile().pack_rows(pointers.data(), k, dim_, tiles.packed.get());
    return tiles;
}

// Below these, rounding the rows costs more than it saves (measured at 10 rounds).
bool ByteAssigner::pays(size_t dim, size_t k) {
    constexpr size_t kLeastDim = 16, kMostDim = 32768, kLeastCentroids = 64;  // kMostDim: sums fit 32 bits
    return simd::kernels().nearest_i8 != nullptr && dim >= kLeastDim && dim <= kMostDim && k >= kLeastCentroids;
}

ByteAssigner::ByteAssigner(const Points& rows, const Call& call)
    : n_(rows.n), dim_(rows.dim), center_(middle_of(n_, dim_, [&](size_t i) { return rows.row(i); }).point) {
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

void ByteAssigner::round_panel(const Points& rows, size_t panel, double& lost, double& spread) {
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
    const Tiles tiles = round(centroids, penalty);
    const double work = double(n_) * double(centroids.size()) / 4;
    parallel_blocks(n_, kStep, threads_for(call, work), call,
                    [&](size_t first, size_t n) { assign(tiles, first, first + n, assigned + first); });
}

// A tile of centroids stays in the second cache while the panels of a step pass over it.
void ByteAssigner::assign(const Tiles& tiles, size_t first, size_t last, uint32_t* assigned) const {
    const size_t lanes = byte_tile().lanes;
    float best[kStep];
    uint32_t nearest[kStep];
    for (; first < last; first += kStep, assigned += kStep) {
        const size_t n = std::min(kStep, last - first);
        std::fill_n(best, kStep, std::numeric_limits<float>::infinity());
        std::fill_n(nearest, kStep, 0u);
        assign_panels(tiles, first / lanes, (first + n + lanes - 1) / lanes, best, nearest);
        std::copy_n(nearest, n, assigned);
    }
}

void ByteAssigner::assign_panels(const Tiles& tiles, size_t first, size_t last, float* best, uint32_t* nearest) const {
    constexpr size_t kTileBytes = size_t(256) << 10, kRows = 12;
    const size_t lanes = byte_tile().lanes;
    const size_t tile_rows = std::max<size_t>(kTileBytes / tiles.stride / kRows, 1) * kRows;
    std::vector<float> mul(std::min(tile_rows, tiles.k));
    for (size_t row = 0; row < tiles.k; row += tile_rows)
        for (size_t p = first; p < last; ++p) {
            const size_t n = std::min(tile_rows, tiles.k - row), to = (p - first) * lanes;
            for (size_t i = 0; i < n; ++i) mul[i] = tiles.mul[row + i] * scales_[p];
            simd::kernels().nearest_i8({panels_.get() + p * panel_bytes_, tiles.packed.get() + row * tiles.stride,
                                        tiles.stride, dim_, n, uint32_t(row), mul.data(), &tiles.add[row], best + to,
                                        nearest + to});
        }
}

}  // namespace annkit
