#include "annkit/codec/codes.h"

#include <algorithm>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// shift: 0 for the low half of a byte, 4 for the high one.
void set_nibble(uint8_t& byte, unsigned shift, unsigned nibble) {
    byte = uint8_t((byte & (0xf0u >> shift)) | nibble << shift);
}

}  // namespace

Codes::Codes(size_t code_bytes, const std::vector<size_t>& side_bytes, bool in_blocks)
    : block(in_blocks ? simd::kBlockRows : 1) {
    const size_t slab_rows = std::max(Column::slab_rows_for(code_bytes), block);
    columns.emplace_back(code_bytes * block, slab_rows / block);
    for (size_t bytes : side_bytes) columns.emplace_back(bytes, slab_rows);
}

size_t Codes::side_memory() const {
    size_t total = 0;
    for (size_t c = 1; c < columns.size(); ++c) total += columns[c].nbytes(n);
    return total;
}

// Two positions of a code share a byte of it, and 32 bytes of a block: see Kernels::nibble_codes.
void Codes::put(size_t row, const std::byte* code) {
    if (block == 1) {
        std::memcpy(columns[0].row(row), code, code_bytes());
        return;
    }
    auto* to = reinterpret_cast<uint8_t*>(columns[0].row(row / block)) + row % 16;
    const unsigned shift = row % block < 16 ? 0 : 4;
    for (size_t i = 0; i < code_bytes(); ++i, to += 32) {
        const auto both = uint8_t(code[i]);
        set_nibble(to[0], shift, both & 15u);
        set_nibble(to[16], shift, both >> 4);
    }
}

void Codes::get(size_t row, std::byte* code) const {
    if (block == 1) {
        std::memcpy(code, columns[0].row(row), code_bytes());
        return;
    }
    const auto* from = reinterpret_cast<const uint8_t*>(block_of(row)) + row % 16;
    const unsigned shift = row % block < 16 ? 0 : 4;
    for (size_t i = 0; i < code_bytes(); ++i, from += 32)
        code[i] = std::byte(((from[0] >> shift) & 15) | ((from[16] >> shift) & 15) << 4);
}

// Of a whole block all at once.
void Codes::put_nibbles(size_t first, size_t position, std::span<const uint32_t> nibbles) {
    constexpr size_t kHalf = simd::kBlockRows / 2;
    for (size_t i = 0; i < nibbles.size();) {
        const size_t row = first + i, at = row % block;
        auto* to = reinterpret_cast<uint8_t*>(columns[0].row(row / block)) + position * kHalf;
        if (at == 0 && nibbles.size() - i >= block) {
            for (size_t j = 0; j < kHalf; ++j) to[j] = uint8_t(nibbles[i + j] | nibbles[i + kHalf + j] << 4);
            i += block;
        } else {
            set_nibble(to[at % kHalf], at < kHalf ? 0 : 4, nibbles[i]);
            ++i;
        }
    }
}

Codes Codes::copy(std::span<const uint32_t> rows) const {
    std::vector<size_t> side_bytes;
    for (size_t c = 1; c < columns.size(); ++c) side_bytes.push_back(columns[c].row_bytes());
    Codes out(code_bytes(), side_bytes, block > 1);
    out.use = use;
    out.split = split;
    out.reserve(rows.size());
    for (size_t c = block > 1; c < columns.size(); ++c)
        for (size_t i = 0; i < rows.size(); ++i)
            std::memcpy(out.columns[c].row(i), columns[c].row(rows[i]), columns[c].row_bytes());
    std::vector<std::byte> code(block > 1 ? code_bytes() : 0);
    for (size_t i = 0; block > 1 && i < rows.size(); ++i) {
        get(rows[i], code.data());
        out.put(i, code.data());
    }
    out.n = rows.size();
    return out;
}

// Rows of a block that are not there yet are zeros: put changes single nibbles, and files do not depend on the past.
void Codes::reserve(size_t rows) {
    // A mapped last block may have room for more rows.
    check(!is_view() || rows <= n, "the index is mapped read-only; load it with mmap=False to change it");
    const size_t before = entries(0, n);
    for (size_t c = 0; c < columns.size(); ++c) columns[c].reserve(entries(c, rows));
    for (size_t i = before; block > 1 && i < entries(0, rows); ++i)
        std::memset(columns[0].row(i), 0, columns[0].row_bytes());
}

void Codes::set_room(size_t rows) {
    room_ = rows;
    if (rows > n) reserve(rows);
    release_spare();
}

void Codes::keep(const std::vector<uint32_t>& rows) noexcept {
    for (size_t c = block > 1; c < columns.size(); ++c)
        for (size_t i = 0; i < rows.size(); ++i)
            if (rows[i] != i) std::memcpy(columns[c].row(i), columns[c].row(rows[i]), columns[c].row_bytes());
    if (block > 1) keep_blocks(rows);
    n = rows.size();
    release_spare();
}

void Codes::keep_blocks(const std::vector<uint32_t>& rows) noexcept {
    const auto shift = [this](size_t row) { return row % block < 16 ? 0u : 4u; };
    const auto place = [this](size_t row) {
        return reinterpret_cast<uint8_t*>(columns[0].row(row / block)) + row % 16;
    };
    const size_t positions = 2 * code_bytes();
    for (size_t i = 0; i < rows.size(); ++i) {
        uint8_t* to = place(i);
        const uint8_t* from = place(rows[i]);
        for (size_t p = 0; p < positions; ++p) {
            const unsigned nibble = from[16 * p] >> shift(rows[i]) & 15u;
            set_nibble(to[16 * p], shift(i), nibble);
        }
    }
}

void Codes::clear(size_t row) noexcept {
    std::byte* at = columns[0].row(row / block) + row % 16;
    const auto others = std::byte(row % block < 16 ? 0xf0 : 0x0f);
    for (size_t position = 0; position < 2 * code_bytes(); ++position, at += 16) *at &= others;
}

void Codes::release_spare() noexcept {
    for (size_t row = n; block > 1 && row % block != 0 && !is_view(); ++row) clear(row);
    for (size_t c = 0; c < columns.size(); ++c) columns[c].release_beyond(entries(c, std::max(n, room_)));
}

// Who does not know of halves is not to take them for floats.
std::string Codes::section(size_t column) const { return split && column == 0 ? "split0" : concat("column", column); }

void Codes::save(Writer& out) const {
    for (size_t c = 0; c < columns.size(); ++c)
        out.bytes(section(c), SectionType::u8, columns[c].row_bytes(), columns[c].pieces(entries(c, n)));
}

void Codes::load(const Reader& in, size_t rows) {
    if (in.has("column0")) split = false;
    for (size_t c = 0; c < columns.size(); ++c) {
        const std::string name = section(c);
        Column& column = columns[c];
        const size_t count = entries(c, rows);
        check<FormatError>(in.rows(name) == count, in.file(), ": section ", name, " has ", in.rows(name),
                           " rows, expected ", count);
        if (in.is_mapped()) {
            const auto bytes = in.array<uint8_t>(name, count, column.row_bytes());
            column = Column::view(column.row_bytes(), column.slab_rows(), std::as_bytes(bytes), in.storage());
            continue;
        }
        column.reserve(count);
        Reader::Pieces pieces;
        for (size_t i = 0; i < count; i += column.run(i))
            pieces.push_back({column.row(i), std::min(column.run(i), count - i) * column.row_bytes()});
        in.read_into(name, SectionType::u8, column.row_bytes(), pieces);
    }
    n = rows;
}

}  // namespace annkit
