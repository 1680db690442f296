#include "annkit/index/near_rows.h"

#include <algorithm>

namespace annkit {

std::span<const uint64_t> NearRows::after(size_t group, uint32_t row) {
    if (group != group_ || row < first_) collect(group, row);
    const uint64_t bound = uint64_t(row) << 16 | UINT16_MAX;
    return all_.subspan(size_t(std::upper_bound(all_.begin(), all_.end(), bound) - all_.begin()));
}

// The rows of equal codes are in order and may be very many: long runs are merged, what comes in short ones is sorted.
void NearRows::collect(size_t group, uint32_t row) {
    constexpr size_t kShort = 16;
    runs_.clear();
    long_.clear();
    used_ = 0;
    const auto put = [&](const Near& near) {
        uint64_t* to = room(near.rows.size());
        for (size_t i = 0; i < near.rows.size(); ++i) to[i] = uint64_t(near.rows[i]) << 16 | near.distance;
    };
    const auto take = [&](size_t of, uint32_t distance) {
        const Near near{DistinctCodes::beyond(distinct_.rows(of), row), distance};
        if (near.rows.size() < kShort)
            put(near);
        else
            long_.push_back(near);
    };
    take(group, 0);
    for (const Neighbour& one : lists_.of(group)) take(one.code, one.distance);
    std::sort(keys_.begin(), keys_.begin() + ptrdiff_t(used_));
    runs_.push_back({used_, 0});
    for (const Near& near : long_) {
        runs_.push_back({near.rows.size(), used_});
        put(near);
    }
    merge();
    group_ = group;
    first_ = row;
}

// The two shortest runs become one, until one is left: each key moves as rarely as can be (Huffman 1952).
void NearRows::merge() {
    const auto longer = [](const Run& a, const Run& b) { return a.size > b.size; };
    const auto shortest = [&] {
        std::pop_heap(runs_.begin(), runs_.end(), longer);
        const Run run = runs_.back();
        runs_.pop_back();
        return run;
    };
    std::make_heap(runs_.begin(), runs_.end(), longer);
    while (runs_.size() > 1) {
        const Run a = shortest(), b = shortest(), both{a.size + b.size, used_};
        uint64_t* to = room(both.size);
        const uint64_t *x = &keys_[a.at], *y = &keys_[b.at];
        std::merge(x, x + a.size, y, y + b.size, to);
        runs_.push_back(both);
        std::push_heap(runs_.begin(), runs_.end(), longer);
    }
    all_ = std::span<const uint64_t>(keys_).subspan(runs_[0].at, runs_[0].size);
}

uint64_t* NearRows::room(size_t n) {
    if (keys_.size() < used_ + n) keys_.resize(2 * (used_ + n));
    used_ += n;
    return keys_.data() + used_ - n;
}

}  // namespace annkit
