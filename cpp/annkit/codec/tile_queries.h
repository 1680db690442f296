// What a codec of compact codes gives a search: queries made ready for its tiles, how a tile's numbers become bounds of
// scores, and canonical scores. The search itself (codec/tile_search) is the same for all of them, in Flat and in
// lists.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/core/memory.h"
#include "annkit/core/row_numbers.h"
#include "annkit/simd/kernels.h"

namespace annkit {

struct RowRange {
    uint32_t first, last;
};

// All of Flat, or one list of IVF.
struct Partition {
    const Codes* codes = nullptr;
    bool residual = false;  // codes are those of row - centroid
    float centroid_norm = 0;
    const RowNumbers* rows = nullptr;  // which row lies at a position; null: the position is the row
    uint32_t row(uint32_t position) const { return rows != nullptr ? (*rows)[position] : position; }
};

// The largest size of n numbers.
inline float largest_size(const float* x, size_t n) {
    float most[4] = {};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; ++j) most[j] = std::max(most[j], std::abs(x[i + j]));
    for (; i < n; ++i) most[0] = std::max(most[0], std::abs(x[i]));
    return std::max(std::max(most[0], most[1]), std::max(most[2], most[3]));
}

// A query's visit to a partition.
struct Visit {
    const Partition* partition;
    float coarse;  // as in TileQueries::terms
};

// How a tile's value v = mul[row] * (scale * dot + offset) + add[row] + error * err[row] becomes a score:
//     base + v - rounding * |size[row]| <= score <= base + v - 2 * error * err[row] + width + rounding * |size[row]|
// with error <= 0, err >= 0. Valid for one query and one partition. Tiles of rows as they are know neither scale nor
// offset nor error: where their rows are bytes, v is the tile's value times `times`.
struct LaneTerms {
    float base = 0, scale = 1, offset = 0, error = 0, width = 0, rounding = 0, times = 1;
    float middle(float value, float err) const { return base + value + (width - 2 * error * err) / 2; }
};

// Rows [first, first + n) of a partition as a tile takes them.
struct TileRows {
    const void* data;
    size_t stride;  // bytes; unused by blocks
    const float* mul;
    const float* add;
    const float* err;   // or null
    const float* size;  // what LaneTerms::rounding multiplies; or null, where that is 0
};

// A thread's memory for rows that have to be unpacked before a tile takes them.
class TileScratch {
  public:
    std::byte* bytes() const { return data_.get(); }
    void reserve(size_t bytes) {
        if (bytes > size_) data_ = allocate(bytes), size_ = bytes;
    }

  private:
    Buffer data_;
    size_t size_ = 0;
};

// A batch of queries, made ready once; the threads share it and it does not change.
class TileQueries {
  public:
    virtual ~TileQueries() = default;
    virtual size_t size() const = 0;
    virtual const simd::TilePair& tiles() const = 0;        // without a run: no tile, every row gets its score
    virtual size_t tile_dim() const = 0;                    // as the tile counts it
    virtual const void* panel_row(size_t query) const = 0;  // what the tile's pack_queries takes
    // Codes of a row that tiles multiply in floats, and a query's weights of them: see simd::TileArgs::heavy.
    virtual std::span<const uint32_t> heavy() const { return {}; }
    virtual const float* heavy_weights(size_t) const { return nullptr; }
    // coarse: for partitions with a centroid c, the canonical score of the query and c: |q - c|^2 for l2, -q.c for ip.
    virtual LaneTerms terms(size_t query, const Partition& partition, float coarse) const = 0;
    // first is a multiple of codes.block; the rows lie in one run (Codes::run). The result lives until the next call
    // with the same scratch.
    virtual TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const = 0;
    // Whether a canonical score costs so little, while its row is in the cache, that a row gets it as soon as a tile
    // reports it.
    virtual bool scores_at_once() const { return false; }
    // Whether a tile takes the partition's rows without mul and add.
    virtual bool is_plain(const Partition&) const { return false; }
    // Whether what a tile computes is about as close to the row's distance as its score.
    virtual bool estimates_well() const { return true; }
    // Whether terms() have times other than 1.
    virtual bool has_times() const { return false; }
    virtual size_t tile_rows() const { return simd::kMostTileRows; }  // that it takes at a time, at most so many
    // Whether what a tile computes is the score itself.
    virtual bool tiles_score() const { return false; }
    // Whether bound_run() is there: lower bounds of the scores of all rows of a range, in less time than by a tile,
    // with one width for all of them: lower <= score <= lower + width. 0: they are the scores. The rows lie in one run.
    virtual bool bounds_runs() const { return false; }
    virtual float bound_run(size_t, const Visit&, RowRange, TileScratch&, float*) const { return 0; }
    // Canonical scores of the rows at these positions: the same for a row whatever else is asked for.
    virtual void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
                       float* out) const = 0;
};

}  // namespace annkit
