#include "annkit/core/column.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "annkit/core/errors.h"

namespace annkit {

// 16 MB: large enough for huge pages and long streams, small beside any index where growth matters.
size_t Column::slab_rows_for(size_t row_bytes) {
    constexpr size_t kSlabBytes = size_t(16) << 20;
    return std::bit_floor(std::clamp<size_t>(kSlabBytes / std::max<size_t>(row_bytes, 1), 64, size_t(1) << 20));
}

Column::Column(size_t row_bytes, size_t slab_rows)
    : row_bytes_(row_bytes), shift_(size_t(std::countr_zero(slab_rows))), mask_(slab_rows - 1) {}

Column Column::view(size_t row_bytes, size_t slab_rows, std::span<const std::byte> data,
                    std::shared_ptr<const void> owner) {
    Column column(row_bytes, slab_rows);
    column.owner_ = std::move(owner);
    column.capacity_ = data.size() / row_bytes;
    for (size_t at = 0; at < data.size(); at += slab_rows * row_bytes)
        column.slabs_.push_back(const_cast<std::byte*>(data.data()) + at);  // never written: views refuse to grow
    return column;
}

void Column::reserve(size_t rows) {
    // Rows that come one by one are copied some sixteen times each; in return a sixteenth of the memory is unused at
    // most.
    constexpr size_t kSpare = 16;
    check(!is_view() || rows <= capacity_, "the index is mapped read-only; load it with mmap=False to change it");
    const size_t slab = mask_ + 1;
    if (rows <= capacity_) return;
    slabs_.reserve((rows + mask_) >> shift_);
    owned_.reserve(slabs_.capacity());
    while (capacity_ < rows) {
        if (capacity_ & mask_) {
            const size_t used = capacity_ & mask_;
            grow_last(std::min(slab, std::max(rows - (capacity_ & ~mask_), used + used / kSpare + 1)));
            continue;
        }
        const size_t fresh = std::min(slab, rows - capacity_);
        owned_.push_back(allocate(fresh * row_bytes_));
        slabs_.push_back(owned_.back().get());
        capacity_ += fresh;
        allocated_ += fresh * row_bytes_;
    }
}

// The last slab alone moves, while it is smaller than a whole one.
void Column::grow_last(size_t rows) {
    const size_t old = capacity_ & mask_;
    Buffer larger = allocate(rows * row_bytes_);
    std::memcpy(larger.get(), slabs_.back(), old * row_bytes_);
    owned_.back() = std::move(larger);
    slabs_.back() = owned_.back().get();
    capacity_ += rows - old;
    allocated_ += (rows - old) * row_bytes_;
}

void Column::release_beyond(size_t rows) noexcept {
    const size_t keep = (rows + mask_) >> shift_;
    while (!is_view() && slabs_.size() > keep) {
        const size_t last = capacity_ & mask_ ? capacity_ & mask_ : mask_ + 1;
        slabs_.pop_back();
        owned_.pop_back();
        capacity_ -= last;
        allocated_ -= last * row_bytes_;
    }
}

std::vector<std::span<const std::byte>> Column::pieces(size_t rows) const {
    std::vector<std::span<const std::byte>> out;
    for (size_t i = 0; i < rows; i += run(i)) out.push_back({row(i), std::min(run(i), rows - i) * row_bytes_});
    return out;
}

}  // namespace annkit
