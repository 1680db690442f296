// Where the rows of each table lie: by slot, side by side with their sketches, and behind them the latest ones in
// chains, until there are enough of them to be worth a place among the others.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "annkit/core/memory.h"

namespace annkit {

class Reader;
class Writer;

// An array of a size that is known when it is made, of one's own or in a mapped file.
template <class T>
class Block {
  public:
    Block() = default;
    explicit Block(size_t n)
        : own_(allocate(n * sizeof(T))), data_(reinterpret_cast<T*>(own_.get())), n_(n), room_(n) {}
    static Block view(std::span<const T> there, std::shared_ptr<const void> owner) {
        Block block;
        block.data_ = const_cast<T*>(there.data());  // never written: a mapped index refuses to change
        block.n_ = there.size();
        block.owner_ = std::move(owner);
        return block;
    }
    T* data() { return data_; }
    const T* data() const { return data_; }
    size_t size() const { return n_; }
    T& operator[](size_t i) { return data_[i]; }
    const T& operator[](size_t i) const { return data_[i]; }
    std::span<const T> all() const { return {data_, n_}; }
    void shorten(size_t n) { n_ = n; }
    size_t nbytes() const { return std::max(n_, room_) * sizeof(T); }
    // Gives back what shorten left over.
    void release_spare() {
        if (room_ == n_ || owner_) return;
        Block smaller(n_);
        std::copy_n(data_, n_, smaller.data_);
        *this = std::move(smaller);
    }

  private:
    Buffer own_;
    T* data_ = nullptr;
    size_t n_ = 0, room_ = 0;
    std::shared_ptr<const void> owner_;
};

class LshStore {
  public:
    LshStore(size_t tables, size_t bits, size_t sketch_bytes);

    struct Run {
        const uint32_t* rows;
        const uint8_t* sketches;
        size_t n;
    };
    Run run(size_t table, uint32_t slot) const {
        const Table& t = tables_[table];
        const size_t first = t.starts[slot];
        return {t.rows.data() + first, t.sketches.data() + first * bytes_, t.starts[slot + 1] - first};
    }
    // Calls take(row) for the rows in chains.
    template <class Take>
    void chain(size_t table, uint32_t slot, Take&& take) const {
        const Table& t = tables_[table];
        if (t.heads.empty()) return;
        for (uint32_t at = t.heads[slot]; at != kNone; at = t.next[at]) take(uint32_t(merged_ + at));
    }
    const uint8_t* chained_sketch(uint32_t row) const { return &sketches_[(row - merged_) * bytes_]; }
    void prefetch(size_t table, uint32_t slot) const { __builtin_prefetch(&tables_[table].starts[slot]); }

    size_t rows() const { return merged_ + chained_; }
    size_t tables() const { return tables_.size(); }
    size_t slots() const { return slots_; }
    bool is_view() const { return is_view_; }
    size_t nbytes() const;

    // Adding, in steps that may fail and leave the store as it was (drop), and a last one that cannot.
    void reserve(size_t n);
    void put(size_t i, size_t table, uint32_t slot) { tables_[table].slots[chained_ + i] = slot; }
    uint8_t* put_sketch(size_t i) { return sketches_.data() + (chained_ + i) * bytes_; }
    void prepare();
    void commit() noexcept;
    void drop() noexcept;

    void truncate(size_t rows) noexcept;           // the first so many stay
    void keep(const std::vector<uint32_t>& rows);  // row i becomes what rows[i] was; rows rise. As it was if it throws.
    void save(Writer& out) const;                  // the same however rows came
    void load(const Reader& in, size_t rows);

  private:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Table {
        Block<uint32_t> starts, rows;  // starts: one a slot, and the end
        Block<uint8_t> sketches;
        std::vector<uint32_t> slots, next, heads;  // of rows in chains; heads: one a slot, while there are any
    };
    struct Sorted {
        Block<uint32_t> starts, rows;
        Block<uint8_t> sketches;
    };
    Sorted sorted(const Table& table, size_t chained) const;
    void adopt(std::vector<Sorted>&& fresh, size_t rows) noexcept;
    void filter(Table& table, size_t end, const uint32_t* becomes) noexcept;
    size_t coming() const { return (tables_[0].slots.size()) - chained_; }

    size_t slots_, bytes_;
    size_t merged_ = 0, chained_ = 0;
    std::vector<Table> tables_;
    std::vector<uint8_t> sketches_;  // of rows in chains
    std::vector<Sorted> fresh_;      // between prepare and commit, where chains become runs
    bool is_view_ = false;
};

}  // namespace annkit
