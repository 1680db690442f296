// Which rows of a tile may be near, for each lane of a panel: of many rows at a time, by tiles with all_rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/codec/tile_queries.h"

namespace annkit {

// One a thread: it owns its scratch. What it returns lives until the next call.
class NearFinder {
  public:
    // Runs the tile over rows from args.first on for their dots. Then it knows of each lane
    void find_sums(const simd::Tile& tile, simd::TileArgs args);
    // a number that k dots do not exceed, and the rows whose dots lie between two numbers, which are among them.
    uint16_t bound(size_t lane, size_t k) const { return simd::kernels().bound16(sums(lane), n_, k); }
    std::span<uint32_t> within(size_t lane, uint16_t least, uint16_t most);

    // Runs the tile for the rows within args.bounds; then it knows those of each lane. many: more than one of 64 rows.
    void find_near(const simd::Tile& tile, simd::TileArgs args);
    std::span<uint32_t> near(size_t lane, bool many);

  private:
    const uint16_t* sums(size_t lane) const;
    size_t first_ = 0, n_ = 0;
    const uint16_t* sums_ = nullptr;
    TileScratch bits_;
    std::vector<uint32_t> rows_;
};

}  // namespace annkit
