#include "annkit/codec/codes.h"

#include <algorithm>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {

Codes::Codes(size_t code_bytes, const std::vector<size_t>& side_bytes) {
    const size_t slab_rows = Column::slab_rows_for(code_bytes);
    columns.emplace_back(code_bytes, slab_rows);
    for (size_t bytes : side_bytes) columns.emplace_back(bytes, slab_rows);
}

size_t Codes::allocated() const {
    size_t total = 0;
    for (const Column& column : columns) total += column.allocated();
    return total;
}

void Codes::reserve(size_t rows) {
    for (Column& column : columns) column.reserve(rows);
}

void Codes::keep(const std::vector<uint32_t>& rows) {
    for (Column& column : columns)
        for (size_t i = 0; i < rows.size(); ++i)
            if (rows[i] != i) std::memcpy(column.row(i), column.row(rows[i]), column.row_bytes());
    n = rows.size();
    release_spare();
}

void Codes::release_spare() {
    for (Column& column : columns) column.release_beyond(n);
}

void Codes::save(Writer& out) const {
    for (size_t c = 0; c < columns.size(); ++c)
        out.bytes(concat("column", c), SectionType::u8, columns[c].row_bytes(), columns[c].pieces(n));
}

void Codes::load(const Reader& in, size_t rows) {
    for (size_t c = 0; c < columns.size(); ++c) {
        const std::string name = concat("column", c);
        Column& column = columns[c];
        check<FormatError>(in.rows(name) == rows, in.file(), ": section ", name, " has ", in.rows(name),
                           " rows, expected ", rows);
        if (in.is_mapped()) {
            const auto bytes = in.array<uint8_t>(name, rows, column.row_bytes());
            column = Column::view(column.row_bytes(), column.slab_rows(), std::as_bytes(bytes), in.storage());
            continue;
        }
        column.reserve(rows);
        Reader::Pieces pieces;
        for (size_t i = 0; i < rows; i += column.run(i))
            pieces.push_back({column.row(i), std::min(column.run(i), rows - i) * column.row_bytes()});
        in.read_into(name, SectionType::u8, column.row_bytes(), pieces);
    }
    n = rows;
}

}  // namespace annkit
