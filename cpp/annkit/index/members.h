// Which rows an index holds: their ids, and which of them have been removed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "annkit/core/bitset.h"
#include "annkit/core/id_table.h"

namespace annkit {

class Reader;
class Writer;

// A caller's filter: ids that are allowed, or a mask read as mask[id].
struct Filter {
    bool is_mask = false;
    std::span<const int64_t> ids;
    std::span<const uint8_t> mask;
};

using Ids = std::optional<std::span<const int64_t>>;  // none: the next ones

class Members {
  public:
    size_t rows() const { return table_.size(); }  // removed ones included
    size_t size() const { return rows() - removed_; }
    size_t removed() const { return removed_; }
    const IdTable& ids() const { return table_; }
    int64_t id(uint32_t row) const { return table_.id(row); }
    size_t nbytes() const { return table_.nbytes() + alive_.bytes(); }

    // Throws ValueError where an id is negative, is given twice, or is held already and replace is false.
    // Returns the rows that adding these ids would replace.
    std::vector<uint32_t> check_new(const Ids& ids, size_t n, bool replace) const;
    // The ids of n rows to come if they have to be kept; none where they count the rows.
    std::vector<int64_t> ids_to_keep(const Ids& ids, size_t n) const;
    // Leaves everything as it was if it throws. replaces: rows are removed next, which then cannot fail.
    void append(const Ids& ids, size_t n, bool replaces);
    void set_room(size_t rows) { table_.set_room(rows); }
    size_t room() const { return table_.room(); }
    IdTable::Mark mark() const { return table_.mark(); }
    void take_back(const IdTable::Mark& mark);       // what was appended since; nothing may have been removed meanwhile
    std::optional<uint32_t> find(int64_t id) const;  // of a row that has not been removed
    std::vector<uint32_t> rows_of(std::span<const int64_t> ids) const;  // KeyError names the first unknown
    void expect_removal() { make_tombstones(rows()); }                  // remove() cannot fail after it
    void remove(std::span<const uint32_t> rows);
    void bring_back(std::span<const uint32_t> rows);  // which have been removed
    std::vector<uint32_t> live_rows() const;
    // Compaction, in two steps of which the second cannot fail.
    IdTable::Kept kept(const std::vector<uint32_t>& live) const { return table_.kept(live); }
    void keep(IdTable::Kept&& kept) noexcept;

    const Bitset* alive() const { return removed_ ? &alive_ : nullptr; }  // null: all are
    Bitset allowed(const Filter& filter) const;                           // and alive

    void save(Writer& out) const;
    static void load(const Reader& in, Members& into);

  private:
    bool is_alive(uint32_t row) const { return removed_ == 0 || alive_.test(row); }
    void make_tombstones(size_t rows);
    void drop_tombstones();  // of rows that are not there

    IdTable table_;
    Bitset alive_;  // a bit a row while some are removed
    size_t removed_ = 0;
};

// How many rows a query's filter lets through, as sets that live as long as this.
class FilterSets {
  public:
    FilterSets(const std::vector<Filter>& filters, const Members& members);
    const std::vector<const Bitset*>& sets() const { return allowed_; }  // none, one, or one a query

  private:
    std::vector<Bitset> made_;
    std::vector<const Bitset*> allowed_;
};

}  // namespace annkit
