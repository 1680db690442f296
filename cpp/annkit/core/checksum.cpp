// The checksum's loop: portable scalar code, bound by two multiplications a word (about 4 bytes a cycle).
#include "annkit/core/checksum.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace annkit {
namespace {

// Odd, with about as many ones as zeros and no pattern; the bits of the golden ratio and of the square root of 3.
constexpr uint64_t kWord = 0x9E3779B97F4A7C15;
constexpr uint64_t kRound = 0xBB67AE8584CAA73B;

// Multiplication by an odd number and xor with a right shift of itself are both invertible.
uint64_t scramble(uint64_t x) {
    x = (x ^ (x >> 32)) * kWord;
    x = (x ^ (x >> 29)) * kRound;
    return x ^ (x >> 32);
}

}  // namespace

Checksum::Checksum() {
    for (size_t i = 0; i < kLanes; ++i) lanes_[i] = kRound * (2 * i + 1);  // unequal, so words cannot swap lanes
}

void Checksum::absorb(Lanes& lanes, const std::byte* bytes, size_t stripes) {
    Lanes local = lanes;  // a copy that the compiler can keep in registers: `lanes` might alias `bytes`
    for (; stripes > 0; --stripes, bytes += kStripe) {
        for (size_t i = 0; i < kLanes; ++i) {
            uint64_t word;
            std::memcpy(&word, bytes + 8 * i, 8);
            local[i] = std::rotl(local[i] + word * kWord, 31) * kRound;
        }
    }
    lanes = local;
}

void Checksum::update(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;  // also keeps a null pointer away from memcpy
    if (filled_ > 0) {
        const size_t taken = std::min(kStripe - filled_, bytes.size());
        std::memcpy(partial_.data() + filled_, bytes.data(), taken);
        filled_ += taken;
        bytes = bytes.subspan(taken);
        if (filled_ < kStripe) return;
        absorb(lanes_, partial_.data(), 1);
        ++stripes_;
        filled_ = 0;
    }
    const size_t whole = bytes.size() / kStripe;
    absorb(lanes_, bytes.data(), whole);
    stripes_ += whole;
    bytes = bytes.subspan(whole * kStripe);
    if (!bytes.empty()) std::memcpy(partial_.data(), bytes.data(), bytes.size());
    filled_ = bytes.size();
}

uint64_t Checksum::value() const {
    Lanes lanes = lanes_;
    uint64_t stripes = stripes_;
    if (filled_ > 0) {
        std::array<std::byte, kStripe> last{};
        std::memcpy(last.data(), partial_.data(), filled_);
        absorb(lanes, last.data(), 1);
        ++stripes;
    }
    uint64_t folded = stripes;
    for (uint64_t lane : lanes) folded = scramble(folded ^ lane);
    return folded;
}

uint64_t checksum(std::span<const std::byte> bytes) {
    Checksum sum;
    sum.update(bytes);
    return sum.value();
}

}  // namespace annkit
