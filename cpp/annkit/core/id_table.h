// Which id each stored row has. Ids that count rows from 0 are implicit and cost nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "annkit/core/id_column.h"
#include "annkit/core/top_k.h"

namespace annkit {

class IdTable {
  public:
    size_t size() const { return n_; }
    int64_t id(uint32_t row) const { return ids_.empty() ? int64_t(row) : ids_[row]; }
    int64_t largest() const { return largest_; }  // ever used; -1 before the first
    bool implicit() const { return ids_.empty(); }
    TieOrder order() const { return {rising_ ? IdView{} : ids_.view()}; }
    const IdColumn& explicit_ids() const { return ids_; }                         // empty: implicit
    bool implicit_with(std::span<const int64_t> ids) const;                       // after they are appended, too
    bool counts_on() const { return implicit() && largest_ == int64_t(n_) - 1; }  // as default ids do, implicit again
    std::vector<int64_t> next(size_t count) const;  // default ids: counting on from the largest ever used
    size_t nbytes() const;

    // The last row that took this id; the caller knows whether it has been removed since. Builds the reverse map when
    // first needed, which is safe beside other readers.
    std::optional<uint32_t> find(int64_t id) const;

    void set_room(size_t rows);  // of so many rows; taken when ids do not count rows any more
    size_t room() const { return room_; }
    // Each leaves everything as it was if it throws.
    void append(size_t count);                  // default ids
    void append(std::span<const int64_t> ids);  // as given; of equal ids the last one counts
    // Compaction, in two steps of which the second cannot fail: row i becomes what rows[i] was.
    struct Kept {
        IdColumn ids;
        size_t n;
        int64_t largest;
        bool rising;
    };
    Kept kept(const std::vector<uint32_t>& rows) const;
    void keep(Kept&& kept) noexcept;
    struct Mark {
        size_t rows;
        int64_t largest;
        bool implicit;
    };
    Mark mark() const { return {n_, largest_, implicit()}; }
    void truncate(const Mark& mark);  // takes back what was appended since (never throws)
    void restore(std::span<const int64_t> ids, size_t n, int64_t largest);  // as loaded

  private:
    Kept made_of(std::span<const int64_t> ids, size_t n, int64_t largest) const;
    IdColumn explicit_with(std::span<const int64_t> ids) const;
    void insert(uint32_t row) const;
    size_t slot_of(int64_t id) const;
    void build_map() const;
    void forget_map() const;

    size_t n_ = 0, room_ = 0;
    int64_t largest_ = -1;
    bool rising_ = true;
    IdColumn ids_;
    mutable std::mutex building_;
    mutable std::vector<uint32_t> map_;  // open addressing over rows, at most half full; empty until needed
    mutable size_t used_ = 0;
};

}  // namespace annkit
