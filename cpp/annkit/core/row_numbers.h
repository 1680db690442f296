// Which row lies at each position of a list; rows rise. Rows that follow each other are kept as runs where these are
// few.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "annkit/core/bitset.h"
#include "annkit/core/column.h"

namespace annkit {

class RowNumbers {
  public:
    explicit RowNumbers(size_t slab_rows) : column_(sizeof(uint32_t), slab_rows) {}
    static RowNumbers view(Column column, size_t n);  // of a mapped file

    size_t slab_rows() const { return column_.slab_rows(); }
    size_t size() const { return n_; }
    uint32_t operator[](size_t position) const {
        if (!by_runs_) return *column_.at<uint32_t>(position);
        const Run& run = runs_[runs_.size() == 1 ? 0 : run_of(position)];
        return run.row + uint32_t(position) - run.first;
    }
    // Where a row lies, by bisection; none where it does not, or where rows do not rise (a damaged file).
    std::optional<uint32_t> find(uint32_t row) const;
    // The positions from first on and before last whose rows are in the set, ascending; returns how many. out has room
    // for all.
    size_t select(const Bitset& set, size_t first, size_t last, uint32_t* out) const;
    void prefetch(size_t first, size_t last) const;
    size_t nbytes() const { return column_.nbytes(n_) + runs_.capacity() * sizeof(Run); }

    void append(std::span<const uint32_t> rows, uint32_t add);  // rows[i] + add; as it was if it throws
    void truncate(size_t n) noexcept;                           // leaves the first ones
    // Position i becomes what positions[i] was, and its row number[row]. Rows that followed each other still do, or are
    // gone.
    void keep(std::span<const uint32_t> positions, std::span<const uint32_t> number) noexcept;

  private:
    struct Run {
        uint32_t first, row;  // of its first position
    };
    size_t run_of(size_t position) const;
    size_t runs_in(std::span<const uint32_t> rows, uint32_t add) const;
    void make_runs(size_t room);
    void make_column(size_t room);
    void push(uint32_t row);

    bool by_runs_ = false;
    Column column_;          // a row a position,
    std::vector<Run> runs_;  // or these
    size_t n_ = 0, n_runs_ = 0;
};

}  // namespace annkit
