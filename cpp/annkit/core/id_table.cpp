#include "annkit/core/id_table.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "annkit/core/errors.h"

namespace annkit {
namespace {

constexpr uint32_t kEmpty = UINT32_MAX;

size_t hash(int64_t id) {
    uint64_t x = uint64_t(id) * 0x9e3779b97f4a7c15u;
    return size_t(x ^ (x >> 32));
}

}  // namespace

size_t IdTable::nbytes() const { return ids_.nbytes() + map_.capacity() * sizeof(uint32_t); }

size_t IdTable::slot_of(int64_t id) const {
    const size_t mask = map_.size() - 1;
    size_t slot = hash(id) & mask;
    while (map_[slot] != kEmpty && ids_[map_[slot]] != id) slot = (slot + 1) & mask;
    return slot;
}

void IdTable::insert(uint32_t row) const {
    const size_t slot = slot_of(ids_[row]);
    used_ += map_[slot] == kEmpty;
    map_[slot] = row;
}

void IdTable::build_map() const {
    std::vector<uint32_t> fresh(std::bit_ceil(std::max<size_t>(2 * std::max(n_, room_), 16)), kEmpty);
    map_.swap(fresh);
    used_ = 0;
    for (size_t row = 0; row < n_; ++row) insert(uint32_t(row));
}

void IdTable::forget_map() const {
    std::vector<uint32_t>().swap(map_);
    used_ = 0;
}

std::optional<uint32_t> IdTable::find(int64_t id) const {
    if (ids_.empty()) return id >= 0 && uint64_t(id) < n_ ? std::optional(uint32_t(id)) : std::nullopt;
    {
        std::lock_guard lock(building_);
        if (map_.empty()) build_map();
    }
    const uint32_t row = map_[slot_of(id)];
    return row == kEmpty ? std::nullopt : std::optional(row);
}

void IdTable::set_room(size_t rows) {
    if (!ids_.empty()) ids_.reserve(rows);
    room_ = rows;
    if (map_.size() < 2 * room_) forget_map();
}

// What ids_ is with these, where they do not count on.
IdColumn IdTable::explicit_with(std::span<const int64_t> ids) const {
    std::vector<int64_t> counted(n_);
    std::iota(counted.begin(), counted.end(), 0);
    IdColumn all;
    all.reserve(std::max(n_ + ids.size(), room_));
    all.append(counted);
    all.append(ids);
    return all;
}

std::vector<int64_t> IdTable::next(size_t count) const {
    check(largest_ <= std::numeric_limits<int64_t>::max() - int64_t(count), "no ids are left above ", largest_,
          "; give ids explicitly");
    std::vector<int64_t> ids(count);
    std::iota(ids.begin(), ids.end(), largest_ + 1);
    return ids;
}

void IdTable::append(size_t count) {
    if (!counts_on()) return append(next(count));
    n_ += count;
    largest_ += int64_t(count);
}

bool IdTable::implicit_with(std::span<const int64_t> ids) const {
    if (!ids_.empty()) return false;
    for (size_t i = 0; i < ids.size(); ++i)
        if (ids[i] != int64_t(n_ + i)) return false;
    return true;
}

void IdTable::append(std::span<const int64_t> ids) {
    if (ids.empty()) return;
    if (implicit_with(ids)) {
        n_ += ids.size();
        largest_ = std::max(largest_, int64_t(n_) - 1);
        return;
    }
    if (ids_.empty())
        ids_ = explicit_with(ids);
    else
        ids_.append(ids);
    for (; n_ < ids_.size(); ++n_) {
        rising_ = rising_ && (n_ == 0 || ids_[n_] > ids_[n_ - 1]);
        largest_ = std::max(largest_, ids_[n_]);
    }
    if (map_.empty()) return;
    if (2 * (used_ + ids.size()) > map_.size()) return forget_map();  // built anew, larger, when next needed
    for (size_t row = n_ - ids.size(); row < n_; ++row) insert(uint32_t(row));
}

IdTable::Kept IdTable::kept(const std::vector<uint32_t>& rows) const {
    std::vector<int64_t> ids(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) ids[i] = id(rows[i]);
    return made_of(ids, ids.size(), largest_);
}

void IdTable::keep(Kept&& kept) noexcept {
    ids_ = std::move(kept.ids);
    n_ = kept.n;
    largest_ = kept.largest;
    rising_ = kept.rising;
    forget_map();
}

void IdTable::truncate(const Mark& mark) {
    n_ = mark.rows;
    largest_ = mark.largest;
    if (mark.implicit)
        ids_ = {};
    else
        ids_.truncate(n_);
    rising_ = true;
    for (size_t row = 1; row < ids_.size(); ++row) rising_ = rising_ && ids_[row] > ids_[row - 1];
    forget_map();
}

void IdTable::restore(std::span<const int64_t> ids, size_t n, int64_t largest) { keep(made_of(ids, n, largest)); }

IdTable::Kept IdTable::made_of(std::span<const int64_t> ids, size_t n, int64_t largest) const {
    bool counts = true, rising = true;
    for (size_t i = 0; i < ids.size(); ++i) {
        counts = counts && ids[i] == int64_t(i);
        rising = rising && (i == 0 || ids[i] > ids[i - 1]);
    }
    IdColumn fresh;
    if (!counts) {
        fresh.reserve(std::max(n, room_));
        fresh.append(ids);
    }
    return {std::move(fresh), n, largest, rising};
}

}  // namespace annkit
