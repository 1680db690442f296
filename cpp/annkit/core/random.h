// Seeded randomness that gives the same numbers on every platform (the standard distributions do not).
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace annkit {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Streams of different seeds
// are independent, so parallel work takes one generator a block and stays the same for any number of threads.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    uint64_t below(uint64_t n);                                    // unbiased, by rejection
    double uniform() { return double(next() >> 11) * 0x1.0p-53; }  // [0, 1)
    double normal() {                                              // Box and Muller
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }

  private:
    uint64_t state_;
};

// What Random::below gives, many times for the same number: without a division each.
class Below {
  public:
    explicit Below(uint64_t n) : n_(n), inverse_(UINT64_MAX / n) {}
    uint64_t operator()(Random& random) const {
        uint64_t x = random.next();
        while (x >= n_ * inverse_) x = random.next();
        const uint64_t rest = x - uint64_t(Wide(x) * inverse_ >> 64) * n_;  // the quotient may be one too small
        return rest < n_ ? rest : rest - n_;
    }

  private:
    __extension__ using Wide = unsigned __int128;
    uint64_t n_, inverse_;
};

inline uint64_t Random::below(uint64_t n) { return Below(n)(*this); }

}  // namespace annkit
