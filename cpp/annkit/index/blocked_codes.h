// Codes of one size by blocks of their bits, which lie side by side after a permutation.
#pragma once

#include <cstdint>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/core/parallel.h"
#include "annkit/core/random.h"
#include "annkit/index/substrings.h"

namespace annkit {

class BlockedCodes {
  public:
    BlockedCodes(const Codes& codes, size_t bits, size_t blocks, int threads, const Call& call);
    size_t blocks() const { return parts_.tables(); }
    size_t code_bytes() const { return width_ * sizeof(uint64_t); }
    const uint64_t* code(size_t row) const { return &words_[row * width_]; }

    // Keys of codes: two are equal where the codes agree in all blocks that are not in the set.
    auto keys_without(uint32_t set) const {
        return [this, set, bits = mask(~set)](size_t row) {
            if (width_ == 1) return Random(words_[row] & bits).next();
            uint64_t sum = 0;
            for (size_t b = 0, n = blocks(); b < n; ++b)
                if (!(set >> b & 1)) sum = Random(sum + hashes_[row * n + b]).next();
            return sum;
        };
    }
    // Up to 32 bits of the blocks that are in the set, of each as many.
    uint32_t sketch(size_t row, uint32_t set) const;
    // The blocks in which two codes differ.
    uint32_t differing(size_t a, size_t b) const;

  private:
    uint64_t mask(uint32_t set) const;  // the bits of these blocks, where a code is one word

    Substrings parts_;
    size_t width_;  // words a code
    std::vector<uint64_t> words_;
    std::vector<uint8_t> block_;    // of each bit, where a code is one word;
    std::vector<uint64_t> hashes_;  // of each code's blocks, where it is more
};

}  // namespace annkit
