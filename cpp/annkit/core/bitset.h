// A set of rows: filters and tombstones.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace annkit {

class Bitset {
  public:
    Bitset() = default;
    explicit Bitset(size_t size, bool value = false) : size_(size), words_((size + 63) / 64, value ? ~uint64_t(0) : 0) {
        clear_tail();
    }

    size_t size() const { return size_; }
    bool test(size_t i) const { return (words_[i >> 6] >> (i & 63)) & 1; }
    void set(size_t i) { words_[i >> 6] |= uint64_t(1) << (i & 63); }
    void reset(size_t i) { words_[i >> 6] &= ~(uint64_t(1) << (i & 63)); }
    uint64_t word(size_t i) const { return words_[i]; }
    size_t bytes() const { return words_.capacity() * sizeof(uint64_t); }

    void resize(size_t size, bool value) {
        const size_t old = size_;
        words_.resize((size + 63) / 64, value ? ~uint64_t(0) : 0);
        size_ = size;
        if (value)
            for (size_t i = old; i < size && (i & 63); ++i) set(i);
        clear_tail();
    }
    size_t count() const {
        size_t total = 0;
        for (uint64_t word : words_) total += size_t(std::popcount(word));
        return total;
    }
    std::vector<uint32_t> members() const {
        std::vector<uint32_t> rows;
        rows.reserve(count());
        for (size_t w = 0; w < words_.size(); ++w)
            for (uint64_t word = words_[w]; word != 0; word &= word - 1)
                rows.push_back(uint32_t(64 * w) + uint32_t(std::countr_zero(word)));
        return rows;
    }
    Bitset& operator&=(const Bitset& other) {
        for (size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
        return *this;
    }

  private:
    void clear_tail() {
        if (size_ & 63) words_.back() &= (uint64_t(1) << (size_ & 63)) - 1;
    }
    size_t size_ = 0;
    std::vector<uint64_t> words_;
};

}  // namespace annkit
