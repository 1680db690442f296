#include "annkit/index/lists.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/index/unit_rows.h"
#include "annkit/simd/prefetch.h"

namespace annkit {

Arrivals::Arrivals(std::span<const uint32_t> list_of, size_t lists) : order(list_of.size()), starts(lists + 1) {
    for (uint32_t list : list_of) ++starts[list + 1];
    for (size_t i = 0; i < lists; ++i) starts[i + 1] += starts[i];
    std::vector<size_t> next(starts.begin(), starts.end() - 1);
    for (uint32_t i = 0; i < list_of.size(); ++i) order[next[list_of[i]]++] = i;
}

Lists::Lists(const Codec& codec, size_t n, size_t dim, const CodeUse& use, std::span<const float> centroids)
    : codec_(codec), dim_(dim) {
    lists_.reserve(n);
    for (size_t i = 0; i < n; ++i) {
        Codes codes = codec.make_codes(dim, use);
        const size_t slab_rows = codes.columns[0].slab_rows() * codes.block;
        lists_.push_back({std::move(codes), RowNumbers(slab_rows)});
    }
    for (size_t i = 0; i < n; ++i) {
        partitions_.push_back({&lists_[i].codes, use.residual, 0, &lists_[i].rows});
        if (!use.residual) continue;
        const float* c = &centroids[i * dim];
        double norm2 = 0;
        for (size_t j = 0; j < dim; ++j) norm2 += double(c[j]) * c[j];
        partitions_.back().centroid_norm = float(std::sqrt(norm2)) * 1.000001f;
    }
}

void Lists::encode(const Rows& rows, const Arrivals& arrivals, std::span<const uint32_t> numbers, uint32_t first_row,
                   bool unit, std::span<const float> center, const Centroid& centroid, const Call& call) {
    const std::vector<size_t>& starts = arrivals.starts;
    for (size_t i = 0; i < lists_.size(); ++i) {
        List& list = lists_[i];
        list.coming = starts[i + 1] - starts[i];
        if (list.coming == 0) continue;
        list.codes.reserve(list.codes.n + list.coming);
        list.rows.append(numbers.subspan(starts[i], list.coming), first_row);
    }
    constexpr size_t kRowsATask = 512;
    std::vector<size_t> tasks{0};  // lists, together some hundred rows
    for (size_t i = 0; i < lists_.size(); ++i)
        if (starts[i + 1] - starts[tasks.back()] >= kRowsATask || i + 1 == lists_.size()) tasks.push_back(i + 1);
    const double work = double(rows.n) * double(dim_) * 4;
    parallel_for(tasks.size() - 1, threads_for(call, work), call, [&](size_t task, int) {
        std::vector<std::byte> scratch;
        std::vector<float> relative_to(dim_);
        for (size_t i = tasks[task]; i < tasks[task + 1]; ++i) {
            if (lists_[i].coming == 0) continue;
            const bool residual = partitions_[i].residual;
            if (residual) centroid(i, relative_to.data());
            encode_list(rows, std::span(arrivals.order).subspan(starts[i], lists_[i].coming), i, unit, center,
                        residual ? relative_to.data() : nullptr, scratch);
        }
    });
}

void Lists::encode_list(const Rows& rows, std::span<const uint32_t> order, size_t number, bool unit,
                        std::span<const float> center, const float* centroid, std::vector<std::byte>& scratch) {
    constexpr size_t kBlock = 256;
    const bool as_given = !is_float(codec_.decoded());  // bytes or bits
    const Dtype type = as_given ? rows.dtype : Dtype::f32;
    const size_t bytes = as_given ? rows.elements() : dim_ * sizeof(float);
    const auto gathered = [&](size_t i, size_t n, size_t number) {
        return Rows{&scratch[i * bytes], n, dim_, type, ptrdiff_t(bytes), ptrdiff_t(element_size(type)),
                    rows.first + number};
    };
    // Rows of a list lie apart: the first bytes of each are asked for in time, processors fetch the rest by themselves.
    constexpr size_t kAhead = 8, kFirst = 512, kLine = 64;
    const size_t fetched = rows.packed() ? std::min(kFirst, rows.elements() * element_size(rows.dtype)) : 0;
    const auto fetch = [&](uint32_t row) {
        for (size_t byte = 0; byte < fetched; byte += kLine) simd::prefetch(rows.row(row) + byte);
    };
    List& list = lists_[number];
    for (size_t at = 0; at < order.size(); at += kBlock) {
        const size_t n = std::min(kBlock, order.size() - at), first = list.codes.n + at;
        scratch.resize(n * bytes);
        for (size_t i = 0; i < n; ++i) {
            if (at + i + kAhead < order.size()) fetch(order[at + i + kAhead]);
            if (as_given) {
                copy_bytes(rows, order[at + i], reinterpret_cast<uint8_t*>(&scratch[i * bytes]));
                continue;
            }
            const InnerRows inner(rows.slice(order[at + i], 1), unit, "the array", center);
            const FloatBlock one(inner.rows(), "the array");
            std::memcpy(&scratch[i * bytes], one.row(0), bytes);
        }
        try {
            codec_.encode(gathered(0, n, order[at]), centroid, list.codes, first);
        } catch (const ValueError&) {  // once more, row by row: the message then names the caller's row
            for (size_t i = 0; i < n; ++i)
                codec_.encode(gathered(i, 1, order[at + i]), centroid, list.codes, first + i);
            throw;
        }
    }
}

void Lists::commit() {
    for (List& list : lists_) list.codes.n += std::exchange(list.coming, 0);
}

void Lists::drop() {
    for (List& list : lists_) {
        if (std::exchange(list.coming, 0) == 0) continue;
        list.codes.release_spare();
        list.rows.truncate(list.codes.n);
    }
}

void Lists::truncate(size_t rows) {
    for (List& list : lists_) {
        const size_t before = list.codes.n;  // a list's rows rise
        while (list.codes.n > 0 && list.rows[list.codes.n - 1] >= rows) --list.codes.n;
        if (list.codes.n == before) continue;
        list.codes.release_spare();
        list.rows.truncate(list.codes.n);
    }
}

void Lists::keep(const std::vector<uint32_t>& live) {
    constexpr uint32_t kGone = UINT32_MAX;
    std::vector<uint32_t> number(live.empty() ? 0 : live.back() + 1, kGone), positions;
    for (uint32_t i = 0; i < live.size(); ++i) number[live[i]] = i;
    size_t longest = 0;
    for (const List& list : lists_) longest = std::max(longest, list.codes.n);
    positions.reserve(longest);  // nothing fails from here on
    for (List& list : lists_) {
        positions.clear();
        for (uint32_t i = 0; i < list.codes.n; ++i) {
            const uint32_t row = list.rows[i];
            if (row < number.size() && number[row] != kGone) positions.push_back(i);
        }
        list.codes.keep(positions);
        list.rows.keep(positions, number);
    }
}

std::optional<Lists::Place> Lists::place(uint32_t row) const {
    for (uint32_t l = 0; l < lists_.size(); ++l)
        if (const auto position = lists_[l].rows.find(row)) return Place{l, *position};
    return std::nullopt;
}

// Whether rows are so few that each by itself is found sooner than all of them by a pass over the lists, and were
// found.
bool Lists::find_few(std::span<const uint32_t> rows, std::span<Place> places) const {
    constexpr size_t kRowsAList = 16;  // measured: what a pass does meanwhile
    size_t all = 0;
    for (const List& list : lists_) all += list.codes.n;
    if (rows.size() * lists_.size() * kRowsAList > all) return false;
    for (size_t i = 0; i < rows.size(); ++i) {
        const auto found = place(rows[i]);
        if (!found) return false;
        places[i] = *found;
    }
    return true;
}

std::vector<Lists::Place> Lists::places(std::span<const uint32_t> rows) const {
    if (rows.empty()) return {};
    std::vector<Place> out(rows.size());
    if (find_few(rows, out)) return out;
    const uint32_t most = *std::max_element(rows.begin(), rows.end());
    std::vector<uint32_t> wanted(size_t(most) + 1, UINT32_MAX);  // the first entry of rows that asks for a row
    for (uint32_t i = uint32_t(rows.size()); i-- > 0;) wanted[rows[i]] = i;
    for (uint32_t l = 0; l < lists_.size(); ++l)
        for (uint32_t i = 0; i < lists_[l].codes.n; ++i) {
            const uint32_t row = lists_[l].rows[i];
            if (row <= most && wanted[row] != UINT32_MAX) out[wanted[row]] = {l, i};
        }
    for (size_t i = 0; i < rows.size(); ++i) out[i] = out[wanted[rows[i]]];
    return out;
}

void Lists::memory(std::vector<MemoryEntry>& entries) const {
    size_t codes = 0, factors = 0, rows = 0, tables = lists_.capacity() * sizeof(List);
    for (const List& list : lists_) {
        codes += list.codes.code_memory();
        factors += list.codes.side_memory();
        rows += list.rows.nbytes();
        tables += list.codes.columns.capacity() * sizeof(Column);
    }
    entries.push_back({"codes", codes});
    entries.push_back({"factors", factors});
    entries.push_back({"rows", rows});
    entries.push_back({"lists", tables + partitions_.capacity() * sizeof(Partition)});
}

void Lists::save(Writer& out) const {
    std::vector<uint32_t> lengths;
    for (const List& list : lists_) lengths.push_back(uint32_t(list.codes.n));
    out.array("lengths", std::move(lengths));
    const auto gather = [&](std::string_view name, auto&& column_of, bool blocks) {
        Writer::Pieces pieces;
        for (const List& list : lists_) {
            const size_t block = blocks ? list.codes.block : 1;
            for (auto piece : column_of(list).pieces((list.codes.n + block - 1) / block)) pieces.push_back(piece);
        }
        out.bytes(name, SectionType::u8, column_of(lists_[0]).row_bytes(), std::move(pieces));
    };
    for (size_t c = 0; c < lists_[0].codes.columns.size(); ++c)
        gather(concat("column", c), [c](const List& list) -> const Column& { return list.codes.columns[c]; }, c == 0);
    save_rows(out);
}

void Lists::save_rows(Writer& out) const {
    std::vector<uint8_t> rows;
    for (const List& list : lists_)
        for (size_t i = 0; i < list.codes.n; ++i) {
            const auto row = std::bit_cast<std::array<uint8_t, sizeof(uint32_t)>>(list.rows[i]);
            rows.insert(rows.end(), row.begin(), row.end());
        }
    out.array("rows_of_lists", std::move(rows), sizeof(uint32_t));
}

// Each list takes its stretch of the sections.
void Lists::load(const Reader& in, size_t rows) {
    const auto lengths = in.array<uint32_t>("lengths", lists_.size());
    size_t total = 0, blocks = 0;
    for (uint32_t n : lengths) total += n, blocks += (n + lists_[0].codes.block - 1) / lists_[0].codes.block;
    check<FormatError>(total == rows, in.file(), ": the lists hold ", total, " rows, expected ", rows);
    view_ = in.is_mapped();
    const auto spread = [&](std::string_view name, auto&& column_of, size_t entries, size_t block) {
        const size_t row_bytes = column_of(lists_[0]).row_bytes();
        check<FormatError>(in.rows(name) == entries, in.file(), ": section ", name, " has ", in.rows(name),
                           " rows, expected ", entries);
        const std::byte* mapped =
            view_ ? reinterpret_cast<const std::byte*>(in.array<uint8_t>(name, entries, row_bytes).data()) : nullptr;
        Reader::Pieces pieces;
        for (size_t i = 0; i < lists_.size(); ++i) {
            Column& column = column_of(lists_[i]);
            const size_t n = (lengths[i] + block - 1) / block;
            if (view_) {
                column = Column::view(row_bytes, column.slab_rows(), {mapped, n * row_bytes}, in.storage());
                mapped += n * row_bytes;
                continue;
            }
            column.reserve(n);
            for (size_t at = 0; at < n; at += column.run(at))
                pieces.push_back({column.row(at), std::min(column.run(at), n - at) * row_bytes});
        }
        if (!view_) in.read_into(name, SectionType::u8, row_bytes, pieces);
    };
    for (size_t c = 0; c < lists_[0].codes.columns.size(); ++c)
        spread(
            concat("column", c), [c](List& list) -> Column& { return list.codes.columns[c]; }, c == 0 ? blocks : rows,
            c == 0 ? lists_[0].codes.block : 1);
    for (size_t i = 0; i < lists_.size(); ++i) lists_[i].codes.n = lengths[i];
    load_rows(in, rows);
}

void Lists::load_rows(const Reader& in, size_t rows) {
    constexpr std::string_view kSection = "rows_of_lists";
    std::vector<uint32_t> numbers(view_ ? 0 : rows);
    const std::byte* mapped = nullptr;
    if (view_)
        mapped = reinterpret_cast<const std::byte*>(in.array<uint8_t>(kSection, rows, sizeof(uint32_t)).data());
    else
        in.read_into(kSection, SectionType::u8, sizeof(uint32_t), {std::as_writable_bytes(std::span(numbers))});
    std::vector<bool> seen(rows);
    for (size_t i = 0, first = 0; i < lists_.size(); first += lists_[i++].codes.n) {
        List& list = lists_[i];
        const size_t n = list.codes.n;
        if (view_)
            list.rows =
                RowNumbers::view(Column::view(sizeof(uint32_t), list.rows.slab_rows(),
                                              {mapped + first * sizeof(uint32_t), n * sizeof(uint32_t)}, in.storage()),
                                 n);
        else
            list.rows.append(std::span(numbers).subspan(first, n), 0);
        for (size_t at = 0; at < n; ++at) {
            const uint32_t row = list.rows[at];
            check<FormatError>(row < rows && !seen[row], in.file(), ": row ", row, " of ", rows,
                               " is out of range or in two lists");
            seen[row] = true;
        }
    }
}

}  // namespace annkit
