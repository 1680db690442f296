// The ids of rows, in 4 bytes each while they all fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace annkit {

// Where ids lie, of either width; valid until they change.
struct IdView {
    const uint32_t* narrow = nullptr;
    const int64_t* wide = nullptr;
    bool empty() const { return narrow == nullptr && wide == nullptr; }
    int64_t operator[](size_t row) const { return narrow != nullptr ? int64_t(narrow[row]) : wide[row]; }
};

class IdColumn {
  public:
    bool empty() const { return size() == 0; }
    size_t size() const { return narrow_.size() + wide_.size(); }
    int64_t operator[](size_t row) const { return wide_.empty() ? int64_t(narrow_[row]) : wide_[row]; }
    IdView view() const { return wide_.empty() ? IdView{narrow_.data(), nullptr} : IdView{nullptr, wide_.data()}; }
    std::vector<int64_t> copy() const;
    size_t nbytes() const { return narrow_.capacity() * sizeof(uint32_t) + wide_.capacity() * sizeof(int64_t); }

    void reserve(size_t rows);
    void append(std::span<const int64_t> ids);  // leaves everything as it was if it throws
    void truncate(size_t rows);                 // leaves the first ones

  private:
    std::vector<uint32_t> narrow_;
    std::vector<int64_t> wide_;  // all of them, once one does not fit
};

}  // namespace annkit
