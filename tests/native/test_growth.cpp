// Where rows lie while an index grows: in slabs that stay where they are, and without any move within what is reserved.
#include <set>

#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/core/errors.h"
#include "annkit/core/id_table.h"
#include "annkit/core/random.h"
#include "annkit/core/row_numbers.h"
#include "annkit/index/graph.h"
#include "checks.h"

namespace {

using namespace annkit;

// Adds rows a few at a time; returns how many times a row was at a new place, all rows together.
template <class Grow, class Place>
size_t moves(size_t rows, size_t step, Grow&& grow, Place&& place) {
    std::vector<const void*> places;
    size_t moved = 0;
    for (size_t n = step; n <= rows; n += step) {
        grow(n);
        for (size_t i = 0; i < places.size(); ++i) moved += place(i) != places[i];
        places.resize(n);
        for (size_t i = 0; i < n; ++i) places[i] = place(i);
    }
    return moved;
}

void slabs_stay_where_they_are() {
    constexpr size_t kBytes = 64 << 10, kStep = 64, kRows = 12 * kStep;
    Column column(kBytes, Column::slab_rows_for(kBytes));
    const size_t slab = column.slab_rows();
    checks::expect(kRows >= 3 * slab, "the rows fill several slabs");
    std::vector<const void*> ends;
    size_t most = 0;
    for (size_t n = kStep / 4; n <= kRows; n += kStep / 4) {
        column.reserve(n);
        most = std::max(most, column.nbytes(n) - n * kBytes);
        for (size_t i = 0; i < ends.size(); ++i) checks::expect(column.row(i * slab) == ends[i], "a full slab moved");
        while ((ends.size() + 1) * slab <= n) ends.push_back(column.row(ends.size() * slab));
    }
    checks::expect(most <= slab * kBytes / 16 + kBytes, "a sixteenth of one slab is unused at most");
}

void codes_within_their_room_do_not_move(const Codec& codec, size_t dim) {
    constexpr size_t kRows = 5000;
    const auto count = [&](bool reserved) {
        Codes codes = codec.make_codes(dim, {Metric::l2});
        if (reserved) codes.set_room(kRows);
        const size_t bytes = codes.code_memory();
        const size_t moved = moves(
            kRows, 500, [&](size_t n) { codes.reserve(n), codes.n = n; },
            [&](size_t i) -> const void* { return codes.code(i); });
        checks::expect(!reserved || codes.code_memory() == bytes, "the memory is that of the room");
        codes.n = 100;
        codes.release_spare();
        checks::expect(!reserved || codes.code_memory() == bytes, "what is released is beyond the room");
        return moved;
    };
    checks::expect(count(true) == 0, "codes moved within their room");
    checks::expect(count(false) > 0, "without room, the first slab moves while it grows");
}

void links_within_their_room_do_not_move() {
    constexpr size_t kRows = 20'000;
    for (size_t degree : {4u, 16u, 32u}) {
        Graph graph(degree);
        graph.set_room(kRows);
        std::vector<size_t> nodes;
        std::set<std::pair<size_t, const void*>> places;
        size_t bytes = 0;
        const auto look = [&] {
            for (size_t l = 0; l < graph.layers(); ++l) places.insert({l, graph.layer(l).links(0)});
            bytes = graph.nbytes();
        };
        for (uint32_t row = 0; row < kRows; ++row) {
            for (size_t l = 0; l <= graph.level_of(row); ++l) {
                if (l == graph.layers()) graph.push_layer(), nodes.push_back(0), look();
                graph.layer(l).reserve(++nodes[l]);
            }
        }
        const size_t before = bytes;
        look();
        checks::expect(places.size() == graph.layers(), concat("links of degree ", degree, " moved within their room"));
        checks::expect(bytes == before, "the memory is that of the room");
    }
}

void ids_within_their_room_do_not_move() {
    IdTable table;
    table.set_room(1000);
    table.append(10);
    checks::expect(table.nbytes() == 0, "ids that count rows take nothing");
    const void* place = nullptr;
    size_t bytes = 0;
    for (int64_t id = 5000; id < 5990; ++id) {
        table.append(std::vector<int64_t>{id});
        const void* now = table.explicit_ids().view().narrow;
        if (place == nullptr) table.find(id), place = now, bytes = table.nbytes();
        checks::expect(now == place && table.find(id), "ids moved within their room");
    }
    checks::expect(table.size() == 1000 && table.nbytes() == bytes, "the memory is that of the room");
}

void ids_take_more_bytes_once_one_needs_them() {
    IdTable table;
    const std::vector<int64_t> narrow{7, 3, UINT32_MAX}, wide{int64_t(UINT32_MAX) + 1, 5};
    table.append(narrow);
    checks::expect(table.explicit_ids().view().narrow != nullptr, "ids below 2^32 have 4 bytes");
    const IdTable::Mark before = table.mark();
    table.append(wide);
    checks::expect(table.explicit_ids().view().wide != nullptr, "larger ones have 8");
    for (size_t row = 0; row < 5; ++row) {
        const int64_t id = row < 3 ? narrow[row] : wide[row - 3];
        checks::expect(table.id(uint32_t(row)) == id && table.find(id) == row, "ids stay what they were");
    }
    table.truncate(before);
    checks::expect(table.size() == 3 && table.find(3) == 1 && !table.find(5), "ids are taken back");
}

void rows_of_a_list_are_found_as_runs_or_one_by_one() {
    RowNumbers numbers(64);
    std::vector<uint32_t> rows;
    const auto append = [&](const std::vector<uint32_t>& more) {
        numbers.append(more, 10);
        for (const uint32_t row : more) rows.push_back(row + 10);
    };
    const auto same = [&] {
        bool equal = numbers.size() == rows.size();
        for (size_t i = 0; equal && i < rows.size(); ++i) equal = numbers[i] == rows[i];
        checks::expect(equal, "rows are where they were put");
        bool found = !numbers.find(rows.back() + 1) && (rows[0] == 0 || !numbers.find(rows[0] - 1));
        for (uint32_t i = 0; found && i < rows.size(); ++i) {
            found = numbers.find(rows[i]) == i;
            if (i > 0 && rows[i] > rows[i - 1] + 1) found = found && !numbers.find(rows[i] - 1);
        }
        checks::expect(found, "rows are found, and no others");
    };
    uint32_t next = 0;
    for (const size_t step : {1, 3, 400, 1, 1, 1, 2000, 5}) {  // runs, single rows, runs again
        std::vector<uint32_t> more(step);
        for (uint32_t& row : more) row = next, next += step == 5 || step == 3 ? 2 : 1;
        append(more);
        ++next;
        same();
    }
    checks::expect(numbers.nbytes() < rows.size(), "runs take less than a byte a row");
    std::vector<uint32_t> number(rows.back() + 1, UINT32_MAX), positions, kept;
    for (uint32_t i = 0; i < rows.size(); ++i)
        if (i % 7 != 0)
            number[rows[i]] = uint32_t(kept.size()), kept.push_back(uint32_t(kept.size())), positions.push_back(i);
    numbers.keep(positions, number);
    rows = kept;
    same();
    numbers.truncate(100);
    rows.resize(100);
    same();
    std::vector<uint32_t> apart(3000);
    for (uint32_t i = 0; i < apart.size(); ++i) apart[i] = 1000 + 2 * i;
    append(apart);
    same();
    checks::expect(numbers.nbytes() >= 4 * rows.size(), "single rows take 4 bytes each");
}

}  // namespace

int main() {
    slabs_stay_where_they_are();
    codes_within_their_room_do_not_move(Raw("f32"), 24);
    codes_within_their_room_do_not_move(Raw("u8"), 5);
    links_within_their_room_do_not_move();
    ids_within_their_room_do_not_move();
    ids_take_more_bytes_once_one_needs_them();
    rows_of_a_list_are_found_as_runs_or_one_by_one();
    return checks::summary("growth");
}
