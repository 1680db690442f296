// Queries against codes that name an entry of a table for each group of dimensions (PQ; the signs of four dimensions):
// tables of a group's part of the score, in float for canonical scores, and for entries of 4 or 8 bits in 8 bits, too,
// as tiles take them. They do not depend on the list, also of residuals:
//     |q - c - r|^2 = |q - c|^2 + (|c + r|^2 - |c|^2) - 2 q.r
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "annkit/codec/codec.h"

namespace annkit {

// How a codec's codes are made of groups.
struct CodeGroups {
    size_t m, bits, dim;  // groups, bits of an entry's number, dimensions of a row
    bool in_blocks;       // codes lie in blocks of nibbles
    bool has_far;         // some entries may be much larger than most
    float reach;          // the largest norm of what a code stands for
    // A query's tables, of 2^bits entries each, one behind the other. The last may be left out: it is zeros then.
    std::function<void(const float* query, float* tables)> fill;

    size_t entries() const { return size_t(1) << bits; }
};

class TableQueries final : public TileQueries {
  public:
    TableQueries(CodeGroups groups, const CodeUse& use, const Rows& queries, const Call& call);
    // Of a query with tables for m groups, in float and in 8 bits.
    static size_t table_bytes(size_t m, size_t bits) { return (m << bits) * (sizeof(float) + sizeof(uint8_t)); }

    size_t size() const override { return rounded_.size(); }
    const simd::TilePair& tiles() const override;
    size_t tile_dim() const override { return positions_; }
    const void* panel_row(size_t query) const override { return steps_ + query * table_size_; }
    LaneTerms terms(size_t query, const Partition& partition, float coarse) const override;
    TileRows rows(const Partition& partition, size_t first, size_t n, TileScratch& scratch) const override;
    bool scores_at_once() const override { return true; }
    bool is_plain(const Partition& partition) const override { return partition.codes->columns.size() <= kAdd; }
    void score(size_t query, const Partition& partition, float coarse, const uint32_t* positions, size_t n,
               float* out) const override;

    // Side column of residuals for l2: |c + r|^2 - |c|^2 of the decoded residual r.
    static constexpr size_t kAdd = 1;
    static constexpr size_t kMostRows = 4096;  // of a tile

  private:
    struct Query {
        float scale = 0;      // of the entries in 8 bits
        float low = 0;        // the sum of each group's least entry, which the others are taken from
        float width = 0;      // what rounding and clipping can take
        float magnitude = 0;  // of what is added up, for the margin of rounding
    };
    const float* table(size_t query) const { return tables_ + query * table_size_; }
    struct Ranges;
    void reserve(size_t queries);
    Query round(const float* table, float norm, Ranges& ranges, uint8_t* steps) const;

    CodeGroups groups_;
    bool l2_, residual_;
    size_t positions_;   // m; for codes of 4 bits made even
    size_t table_size_;  // floats
    // In one piece: a C library may give several to the system as they are freed, and have them mapped again.
    std::unique_ptr<std::byte[]> memory_;
    float* tables_ = nullptr;
    uint8_t* steps_ = nullptr;  // the tables in 8 bits, where there are tiles
    std::vector<Query> rounded_;
    std::vector<float> ones_;  // mul of as many rows as a tile takes
};

}  // namespace annkit
