// How the bits of codes are shared out among the substrings of multi-index hashing: bits that go together lie apart, so
// that each substring tells much (Norouzi, Punjani, Fleet 2014, section 4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "annkit/codec/codes.h"

namespace annkit {

class Substrings {
  public:
    static constexpr size_t kMostBits = 1024, kMostWidth = 24;
    // A code's bits in the order of the substrings, and once more from the front, so that sketches run on.
    static constexpr size_t kWords = kMostBits / 64 + 2;

    // The way that suits the first rows of codes of so many bits; it depends on nothing else.
    static Substrings learned(const Codes& codes, size_t rows, size_t bits, size_t tables);
    // order: substring by substring, which bit of the code comes next.
    Substrings(std::vector<uint32_t> order, size_t tables);

    size_t tables() const { return starts_.size() - 1; }
    size_t bits() const { return order_.size(); }
    size_t width(size_t table) const { return starts_[table + 1] - starts_[table]; }
    const std::vector<uint32_t>& order() const { return order_; }

    void permute(const std::byte* code, uint64_t* words) const;
    uint32_t key(const uint64_t* words, size_t table) const {
        return part(words, starts_[table], starts_[table + 1] - starts_[table]);
    }
    // Some of the bits outside of the substring: 32 where there are so many.
    uint32_t sketch(const uint64_t* words, size_t table) const {
        return part(words, starts_[table + 1], std::min<size_t>(32, bits() - width(table)));
    }
    // Of all bits of the substring, whatever its width; and the first of them, up to 32.
    uint64_t hash(const uint64_t* words, size_t table) const;
    uint32_t lead(const uint64_t* words, size_t table) const {
        return part(words, starts_[table], std::min<size_t>(32, width(table)));
    }

  private:
    static uint32_t part(const uint64_t* words, size_t first, size_t n) {
        const size_t at = first / 64, shift = first % 64;
        const uint64_t bits = words[at] >> shift | (words[at + 1] << 1) << (63 - shift);
        return uint32_t(bits & ((uint64_t(1) << n) - 1));
    }

    std::vector<uint32_t> order_;
    std::vector<size_t> starts_;  // of substrings, in the order
};

}  // namespace annkit
