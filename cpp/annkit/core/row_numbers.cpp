#include "annkit/core/row_numbers.h"

#include <algorithm>
#include <utility>

namespace annkit {

RowNumbers RowNumbers::view(Column column, size_t n) {
    RowNumbers out(column.slab_rows());
    out.column_ = std::move(column);
    out.n_ = n;
    return out;
}

size_t RowNumbers::run_of(size_t position) const {
    const auto next = std::upper_bound(runs_.begin(), runs_.end(), position,
                                       [](size_t at, const Run& run) { return at < run.first; });
    return size_t(next - runs_.begin()) - 1;
}

std::optional<uint32_t> RowNumbers::find(uint32_t row) const {
    if (n_ == 0 || row < (*this)[0] || row > (*this)[n_ - 1]) return std::nullopt;
    uint32_t first = 0, last = uint32_t(n_ - 1);
    if (by_runs_) {  // each has one place where it may lie
        const auto next =
            std::upper_bound(runs_.begin(), runs_.end(), row, [](uint32_t at, const Run& run) { return at < run.row; });
        if (next == runs_.begin()) return std::nullopt;
        const Run& run = *std::prev(next);
        first = last = std::min(run.first + (row - run.row), last);
    }
    while (first < last) {
        const uint32_t middle = first + (last - first) / 2;
        if ((*this)[middle] < row)
            first = middle + 1;
        else
            last = middle;
    }
    return (*this)[first] == row ? std::optional(first) : std::nullopt;
}

size_t RowNumbers::select(const Bitset& set, size_t first, size_t last, uint32_t* out) const {
    size_t found = 0;
    while (first < last) {
        const size_t run = by_runs_ ? last - first : std::min(last - first, column_.run(first));
        const auto* rows = by_runs_ ? nullptr : column_.at<uint32_t>(first);
        for (size_t i = 0; i < run; ++i) {
            out[found] = uint32_t(first + i);
            found += set.test(rows != nullptr ? rows[i] : (*this)[first + i]);
        }
        first += run;
    }
    return found;
}

void RowNumbers::prefetch(size_t first, size_t last) const {
    constexpr size_t kLine = 64 / sizeof(uint32_t);
    for (size_t at = first; !by_runs_ && at < last; at += kLine) __builtin_prefetch(column_.at<uint32_t>(at));
}

size_t RowNumbers::runs_in(std::span<const uint32_t> rows, uint32_t add) const {
    size_t runs = n_ == 0 || rows[0] + add != (*this)[n_ - 1] + 1;
    for (size_t i = 1; i < rows.size(); ++i) runs += rows[i] != rows[i - 1] + 1;
    return runs;
}

void RowNumbers::append(std::span<const uint32_t> rows, uint32_t add) {
    if (rows.empty()) return;
    const size_t n = n_ + rows.size(), runs = n_runs_ + runs_in(rows, add);
    // Every hit looks for its run: there are few, or a column. From a column only where they are half as many: no list
    // turns again and again.
    constexpr size_t kRowsARun = 64;
    const size_t least = n_ == 0 || by_runs_ ? kRowsARun : 2 * kRowsARun;
    if (runs == 1 || least * runs <= n)
        make_runs(runs);
    else
        make_column(n);
    for (const uint32_t row : rows) push(row + add);
}

// There is room for it. Runs are in use where there are some, or where there is no column.
void RowNumbers::push(uint32_t row) {
    const bool follows = n_ > 0 && row == (*this)[n_ - 1] + 1;
    if (by_runs_ && !follows) runs_.push_back({uint32_t(n_), row});
    if (!by_runs_) *column_.at<uint32_t>(n_) = row;
    n_runs_ += !follows;
    ++n_;
}

void RowNumbers::make_runs(size_t room) {
    if (by_runs_) {
        if (room > runs_.capacity()) runs_.reserve(std::max(room, runs_.capacity() + runs_.capacity() / 2));
        return;
    }
    RowNumbers out(column_.slab_rows());
    out.by_runs_ = true;
    out.runs_.reserve(room);
    for (size_t i = 0; i < n_; ++i) out.push((*this)[i]);
    *this = std::move(out);
}

void RowNumbers::make_column(size_t room) {
    if (!by_runs_) return column_.reserve(room);
    RowNumbers out(column_.slab_rows());
    out.column_.reserve(room);
    for (size_t i = 0; i < n_; ++i) out.push((*this)[i]);
    *this = std::move(out);
}

void RowNumbers::truncate(size_t n) noexcept {
    for (; n_ > n; --n_) {
        const bool starts = n_ == 1 || (*this)[n_ - 1] != (*this)[n_ - 2] + 1;
        if (by_runs_ && starts) runs_.pop_back();
        n_runs_ -= starts;
    }
    column_.release_beyond(n);
}

// In place: a run stays one, or is gone, so that what is written has been read.
void RowNumbers::keep(std::span<const uint32_t> positions, std::span<const uint32_t> number) noexcept {
    size_t runs = 0, i = 0;
    uint32_t last = 0;
    const auto take = [&](uint32_t row) {
        const bool starts = i == 0 || row != last + 1;
        if (by_runs_ && starts) runs_[runs] = {uint32_t(i), row};
        if (!by_runs_) *column_.at<uint32_t>(i) = row;
        runs += starts;
        last = row;
        ++i;
    };
    if (!by_runs_)
        for (const uint32_t position : positions) take(number[(*this)[position]]);
    for (size_t r = 0; r < runs_.size(); ++r) {
        const Run run = runs_[r];
        const size_t end = r + 1 < runs_.size() ? runs_[r + 1].first : n_;
        while (i < positions.size() && positions[i] < end) take(number[run.row + positions[i] - run.first]);
    }
    n_ = positions.size();
    n_runs_ = runs;
    if (by_runs_) runs_.resize(runs);
    column_.release_beyond(n_);
}

}  // namespace annkit
