// The 64-bit checksum of a container's header and sections.
//
// Input is cut into stripes of eight 64-bit words, the last one filled with zeros; word i of every stripe goes into
// lane i by xxHash64's round, lane = rotl(lane + word * a, 31) * b with odd a and b. For a given word the round is a
// bijection of the lane, and for a given lane one of the word; the lanes are then folded by bijections too. So a change
// that stays within one lane's word (any single bit, any aligned run of 8 bytes) always changes the checksum; any other
// is missed with a probability of about 2^-64. Eight independent lanes hide the multiplier's latency: memory is the
// bound. It detects damage, not an attacker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace annkit {

class Checksum {
  public:
    static constexpr size_t kStripe = 64;

    Checksum();
    // Pieces may be of any length: the checksum is that of their concatenation.
    void update(std::span<const std::byte> bytes);
    // The checksum of all that came so far. Trailing zeros up to a whole stripe do not change it, so a section's
    // checksum covers its padding as well.
    uint64_t value() const;

  private:
    static constexpr size_t kLanes = 8;
    using Lanes = std::array<uint64_t, kLanes>;
    static void absorb(Lanes& lanes, const std::byte* bytes, size_t stripes);

    Lanes lanes_;
    std::array<std::byte, kStripe> partial_;
    size_t filled_ = 0;  // bytes of partial_ in use, always less than a stripe between calls
    uint64_t stripes_ = 0;
};

uint64_t checksum(std::span<const std::byte> bytes);

}  // namespace annkit
