// Fixed-size entries in slabs that growth does not move: adding rows never doubles the memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "annkit/core/memory.h"

namespace annkit {

class Column {
  public:
    // slab_rows is a power of two; columns that describe the same rows share it, so that their slabs end together.
    Column(size_t row_bytes, size_t slab_rows);
    // A column over memory that somebody else owns (a mapped file); it cannot grow.
    static Column view(size_t row_bytes, size_t slab_rows, std::span<const std::byte> data,
                       std::shared_ptr<const void> owner);

    static size_t slab_rows_for(size_t row_bytes);

    const std::byte* row(size_t i) const { return slabs_[i >> shift_] + (i & mask_) * row_bytes_; }
    std::byte* row(size_t i) { return slabs_[i >> shift_] + (i & mask_) * row_bytes_; }
    // act(i, row(rows[i])) of n rows.
    template <class Act>
    void each_row(const uint32_t* rows, size_t n, Act&& act) const {
        const std::byte* const* slabs = slabs_.data();
        const size_t shift = shift_, mask = mask_, row_bytes = row_bytes_;
        for (size_t i = 0; i < n; ++i) act(i, slabs[rows[i] >> shift] + (rows[i] & mask) * row_bytes);
    }
    template <class T>
    const T* at(size_t i) const {
        return reinterpret_cast<const T*>(row(i));
    }
    template <class T>
    T* at(size_t i) {
        return reinterpret_cast<T*>(row(i));
    }

    size_t row_bytes() const { return row_bytes_; }
    size_t slab_rows() const { return mask_ + 1; }
    size_t run(size_t i) const { return mask_ + 1 - (i & mask_); }  // rows from i on that lie side by side
    bool is_view() const { return owner_ != nullptr; }
    // Bytes that it takes; those of the first rows where it is a view.
    size_t nbytes(size_t rows) const { return is_view() ? rows * row_bytes_ : allocated_; }

    void reserve(size_t rows);                  // on failure nothing has changed
    void release_beyond(size_t rows) noexcept;  // gives slabs back that hold none of the first rows
    std::vector<std::span<const std::byte>> pieces(size_t rows) const;  // the first rows, as runs of memory

  private:
    void grow_last(size_t rows);

    size_t row_bytes_, shift_ = 0, mask_ = 0;
    std::vector<std::byte*> slabs_;
    std::vector<Buffer> owned_;
    size_t capacity_ = 0, allocated_ = 0;  // rows, bytes
    std::shared_ptr<const void> owner_;
};

}  // namespace annkit
