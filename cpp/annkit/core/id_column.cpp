#include "annkit/core/id_column.h"

#include <algorithm>

namespace annkit {
namespace {

// Ids that come one by one are copied some eight times each; in return an eighth of the memory is unused at most.
constexpr size_t kSpare = 8;

template <class T>
void append_to(std::vector<T>& column, std::span<const int64_t> ids) {
    const size_t n = column.size() + ids.size();
    if (n > column.capacity()) column.reserve(std::max(n, column.size() + column.size() / kSpare));
    for (const int64_t id : ids) column.push_back(T(id));
}

}  // namespace

std::vector<int64_t> IdColumn::copy() const {
    return wide_.empty() ? std::vector<int64_t>(narrow_.begin(), narrow_.end()) : wide_;
}

void IdColumn::reserve(size_t rows) { wide_.empty() ? narrow_.reserve(rows) : wide_.reserve(rows); }

void IdColumn::append(std::span<const int64_t> ids) {
    const auto fits = [](int64_t id) { return uint64_t(id) <= UINT32_MAX; };
    if (!wide_.empty()) return append_to(wide_, ids);
    if (std::all_of(ids.begin(), ids.end(), fits)) return append_to(narrow_, ids);
    std::vector<int64_t> wide;
    wide.reserve(std::max(narrow_.capacity(), narrow_.size() + ids.size()));
    wide.assign(narrow_.begin(), narrow_.end());
    wide.insert(wide.end(), ids.begin(), ids.end());
    wide_.swap(wide);
    std::vector<uint32_t>().swap(narrow_);
}

void IdColumn::truncate(size_t rows) { wide_.empty() ? narrow_.resize(rows) : wide_.resize(rows); }

}  // namespace annkit
