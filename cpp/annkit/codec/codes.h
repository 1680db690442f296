// What a codec makes of rows: a code each, and columns beside it for what scoring needs (norms, scales). Codes of 4
// bits may lie in blocks of 32 rows, as the nibble kernels take them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "annkit/core/column.h"
#include "annkit/core/metric.h"

namespace annkit {

class Reader;
class Writer;

// What codes are made for: which side columns they need depends on it.
struct CodeUse {
    Metric metric = Metric::l2;
    bool residual = false;  // codes of row - centroid, in the lists of IVF
    bool singly = false;    // rows are asked for one by one, wherever they lie, as by a graph
    bool walked = false;    // walks lead to them, by distances that may be estimates
};

struct Codes {
    // side_bytes: the entry size of each side column. In blocks, a code is code_bytes of nibbles, two positions a byte,
    // the first in the low half.
    Codes(size_t code_bytes, const std::vector<size_t>& side_bytes, bool in_blocks = false);
    explicit Codes(Column only) { columns.push_back(std::move(only)); }

    std::vector<Column> columns;  // [0] the codes (or blocks of them), then the side columns
    size_t block = 1;             // rows that an entry of columns[0] holds: 1 or simd::kBlockRows
    size_t n = 0;
    CodeUse use;         // as make_codes was asked; set by codecs whose encode or decode depends on it
    bool split = false;  // floats in halves: see simd::kSplit

    const std::byte* code(size_t row) const { return columns[0].row(row); }  // unless they lie in blocks
    const std::byte* block_of(size_t row) const { return columns[0].row(row / block); }
    size_t code_bytes() const { return columns[0].row_bytes() / block; }
    size_t run(size_t row) const { return columns[0].run(row / block) * block - row % block; }
    size_t code_memory() const { return columns[0].nbytes(entries(0, n)); }
    size_t side_memory() const;
    bool is_view() const { return columns[0].is_view(); }

    // One row's code as code_bytes() bytes, wherever its nibbles lie.
    void put(size_t row, const std::byte* code);
    void get(size_t row, std::byte* code) const;
    // Those of one position of the rows from `first` on; only where codes lie in blocks.
    void put_nibbles(size_t first, size_t position, std::span<const uint32_t> nibbles);

    Codes copy(std::span<const uint32_t> rows) const;  // of these rows, which become 0, 1 and so on

    void reserve(size_t rows);
    void set_room(size_t rows);  // places for so many rows, which stay until another room is set
    void keep(const std::vector<uint32_t>& rows) noexcept;  // row i becomes what rows[i] was; rows rise
    void release_spare() noexcept;

    void save(Writer& out) const;
    // Into codes that are empty; mapped where the file is. Floats that an older file has whole stay so.
    void load(const Reader& in, size_t rows);

  private:
    void keep_blocks(const std::vector<uint32_t>& rows) noexcept;
    void clear(size_t row) noexcept;  // of a block
    std::string section(size_t column) const;
    size_t room_ = 0;
    size_t entries(size_t column, size_t rows) const { return column == 0 ? (rows + block - 1) / block : rows; }
};

}  // namespace annkit
