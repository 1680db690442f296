#include "annkit/index/members.h"

#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

void check_distinct(std::span<const int64_t> ids) {
    if (std::adjacent_find(ids.begin(), ids.end(), [](int64_t a, int64_t b) { return a >= b; }) == ids.end()) return;
    std::vector<int64_t> sorted(ids.begin(), ids.end());
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    check(twice == sorted.end(), "id ", twice == sorted.end() ? 0 : *twice, " is given twice, expected distinct ids");
}

}  // namespace

std::vector<uint32_t> Members::check_new(const Ids& ids, size_t n, bool replace) const {
    check(n <= UINT32_MAX - 1 - rows(), "the index would hold ", rows() + n, " rows, expected fewer than 2^32 - 1");
    std::vector<uint32_t> replaced;
    if (!ids) return replaced;
    check(ids->size() == n, "got ", ids->size(), " ids for ", n, " rows, expected one a row");
    for (int64_t id : *ids) check(id >= 0, "id ", id, " is negative, expected ids from 0 on (-1 marks padding)");
    check_distinct(*ids);
    for (int64_t id : *ids) {
        if (id > table_.largest()) continue;
        const auto row = table_.find(id);
        if (!row || !is_alive(*row)) continue;
        check(replace, "id ", id, " is in the index already; pass replace=True to replace its row");
        replaced.push_back(*row);
    }
    return replaced;
}

void Members::make_tombstones(size_t rows) {
    if (removed_ == 0)
        alive_ = Bitset(rows, true);
    else
        alive_.resize(rows, true);
}

void Members::drop_tombstones() {
    if (removed_ == 0)
        alive_ = Bitset();
    else
        alive_.resize(rows(), true);
}

std::vector<int64_t> Members::ids_to_keep(const Ids& ids, size_t n) const {
    if (ids ? table_.implicit_with(*ids) : table_.counts_on()) return {};
    return ids ? std::vector<int64_t>(ids->begin(), ids->end()) : table_.next(n);
}

void Members::append(const Ids& ids, size_t n, bool replaces) {
    if (removed_ > 0 || replaces) make_tombstones(rows() + n);
    try {
        ids ? table_.append(*ids) : table_.append(n);
    } catch (...) {
        drop_tombstones();
        throw;
    }
}

void Members::take_back(const IdTable::Mark& mark) {
    table_.truncate(mark);
    drop_tombstones();
}

std::optional<uint32_t> Members::find(int64_t id) const {
    const auto row = table_.find(id);
    return row && is_alive(*row) ? row : std::nullopt;
}

std::vector<uint32_t> Members::rows_of(std::span<const int64_t> ids) const {
    std::vector<uint32_t> rows;
    rows.reserve(ids.size());
    for (int64_t id : ids) {
        const auto row = table_.find(id);
        check<KeyError>(row && is_alive(*row), "id ", id, " is not in the index");
        rows.push_back(*row);
    }
    return rows;
}

void Members::remove(std::span<const uint32_t> rows) {
    if (rows.empty()) return;
    if (alive_.size() != this->rows()) expect_removal();
    for (uint32_t row : rows) {
        removed_ += alive_.test(row);
        alive_.reset(row);
    }
}

void Members::bring_back(std::span<const uint32_t> rows) {
    for (uint32_t row : rows) {
        removed_ -= !alive_.test(row);
        alive_.set(row);
    }
}

std::vector<uint32_t> Members::live_rows() const {
    std::vector<uint32_t> live;
    live.reserve(size());
    for (uint32_t row = 0; row < rows(); ++row)
        if (is_alive(row)) live.push_back(row);
    return live;
}

void Members::keep(IdTable::Kept&& kept) noexcept {
    table_.keep(std::move(kept));
    alive_ = Bitset();
    removed_ = 0;
}

Bitset Members::allowed(const Filter& filter) const {
    Bitset rows_allowed(rows());
    if (filter.is_mask) {
        for (uint32_t row = 0; row < rows(); ++row) {
            if (!is_alive(row)) continue;
            const int64_t id = table_.id(row);
            check(uint64_t(id) < filter.mask.size(), "the filter mask has ", filter.mask.size(),
                  " entries, expected one for every id up to the largest, ", id, ", or more");
            if (filter.mask[size_t(id)]) rows_allowed.set(row);
        }
        return rows_allowed;
    }
    for (int64_t id : filter.ids) {
        const auto row = table_.find(id);
        if (row && is_alive(*row)) rows_allowed.set(*row);
    }
    return rows_allowed;
}

void Members::save(Writer& out) const {
    out.value("rows", int64_t(rows()));
    out.value("largest", table_.largest());
    out.array("ids", table_.explicit_ids().copy());
    std::vector<uint32_t> removed_rows;
    for (uint32_t row = 0; row < rows() && removed_ > 0; ++row)
        if (!alive_.test(row)) removed_rows.push_back(row);
    out.array("removed", std::move(removed_rows));
}

void Members::load(const Reader& in, Members& into) {
    const auto n = size_t(in.integer("rows", 0, UINT32_MAX - 1));
    const int64_t largest = in.integer("largest", -1, INT64_MAX);
    const auto ids = in.array<int64_t>("ids", in.rows("ids"));
    check<FormatError>(ids.empty() || ids.size() == n, in.file(), ": ", ids.size(), " ids for ", n, " rows");
    check<FormatError>(int64_t(n) - 1 <= largest || !ids.empty(), in.file(), ": the largest id is ", largest, " with ",
                       n, " rows");
    for (int64_t id : ids)
        check<FormatError>(id >= 0 && id <= largest, in.file(), ": id ", id, " is outside 0 to ", largest);
    into.table_.restore(ids, n, largest);
    const auto removed = in.array<uint32_t>("removed", in.rows("removed"));
    for (uint32_t row : removed) check<FormatError>(row < n, in.file(), ": removed row ", row, " of ", n);
    into.remove(removed);
    // Of rows that took the same id, the last one has it: the others must have been removed.
    if (std::is_sorted(ids.begin(), ids.end(), [](int64_t a, int64_t b) { return a <= b; })) return;
    std::vector<std::pair<int64_t, uint32_t>> rows;
    rows.reserve(ids.size());
    for (uint32_t row = 0; row < ids.size(); ++row) rows.emplace_back(ids[row], row);
    std::sort(rows.begin(), rows.end());
    for (size_t i = 0; i + 1 < rows.size(); ++i)
        check<FormatError>(rows[i].first != rows[i + 1].first || !into.is_alive(rows[i].second), in.file(),
                           ": an id is held by two rows");
}

FilterSets::FilterSets(const std::vector<Filter>& filters, const Members& members) {
    made_.reserve(filters.size());
    for (const Filter& filter : filters) {
        made_.push_back(members.allowed(filter));
        allowed_.push_back(&made_.back());
    }
    if (filters.empty() && members.alive() != nullptr) allowed_.push_back(members.alive());
}

}  // namespace annkit
