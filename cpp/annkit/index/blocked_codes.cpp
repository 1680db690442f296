#include "annkit/index/blocked_codes.h"

#include <algorithm>
#include <bit>

namespace annkit {

BlockedCodes::BlockedCodes(const Codes& codes, size_t bits, size_t blocks, int threads, const Call& call)
    : parts_(Substrings::learned(codes, codes.n, bits, blocks)), width_((bits + 63) / 64) {
    words_.resize(codes.n * width_ + 1);  // leads may read a word further
    if (width_ > 1) hashes_.resize(codes.n * blocks);
    const uint64_t last = bits % 64 == 0 ? ~uint64_t(0) : (uint64_t(1) << bits % 64) - 1;
    parallel_blocks(codes.n, 1024, threads, call, [&](size_t first, size_t count) {
        uint64_t words[Substrings::kWords];
        for (size_t row = first; row < first + count; ++row) {
            parts_.permute(codes.code(row), words);
            words[width_ - 1] &= last;
            std::copy_n(words, width_, &words_[row * width_]);
            for (size_t b = 0; b < blocks && width_ > 1; ++b) hashes_[row * blocks + b] = parts_.hash(words, b);
        }
    });
    for (size_t b = 0; b < blocks && width_ == 1; ++b) block_.insert(block_.end(), parts_.width(b), uint8_t(b));
}

uint64_t BlockedCodes::mask(uint32_t set) const {
    uint64_t out = 0;
    for (size_t i = 0; i < block_.size(); ++i) out |= uint64_t(set >> block_[i] & 1) << i;
    return out;
}

uint32_t BlockedCodes::sketch(size_t row, uint32_t set) const {
    uint32_t out = 0;
    const auto each = unsigned(32 / std::popcount(set));
    for (size_t b = 0; b < blocks(); ++b)
        if (set >> b & 1)
            out = uint32_t(uint64_t(out) << each) | uint32_t(parts_.lead(code(row), b) & ((uint64_t(1) << each) - 1));
    return out;
}

uint32_t BlockedCodes::differing(size_t a, size_t b) const {
    uint32_t set = 0;
    if (width_ == 1) {
        for (uint64_t bits = words_[a] ^ words_[b]; bits != 0; bits &= bits - 1)
            set |= 1u << block_[size_t(std::countr_zero(bits))];
        return set;
    }
    const size_t n = blocks();
    for (size_t i = 0; i < n; ++i) set |= uint32_t(hashes_[a * n + i] != hashes_[b * n + i]) << i;
    return set;
}

}  // namespace annkit
