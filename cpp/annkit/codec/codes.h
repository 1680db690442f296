// What a codec makes of rows: a code each, and columns beside it for what scoring needs (norms, scales).
#pragma once

#include <cstddef>
#include <vector>

#include "annkit/core/column.h"

namespace annkit {

class Reader;
class Writer;

struct Codes {
    // side_bytes: the entry size of each side column.
    Codes(size_t code_bytes, const std::vector<size_t>& side_bytes);
    explicit Codes(Column only) { columns.push_back(std::move(only)); }

    std::vector<Column> columns;  // [0] the codes, then the side columns
    size_t n = 0;

    const std::byte* code(size_t row) const { return columns[0].row(row); }
    size_t code_bytes() const { return columns[0].row_bytes(); }
    size_t run(size_t row) const { return columns[0].run(row); }
    size_t allocated() const;

    void reserve(size_t rows);
    void keep(const std::vector<uint32_t>& rows);  // row i becomes what rows[i] was; rows rise. Never throws.
    void release_spare();

    void save(Writer& out) const;
    void load(const Reader& in, size_t rows);  // into codes that are empty; mapped where the file is
};

}  // namespace annkit
