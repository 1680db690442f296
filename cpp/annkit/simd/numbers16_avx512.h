// 16-bit numbers chosen by a bound, with AVX-512. Bottleneck: loads, and comparisons of a register each.
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace numbers16 {

inline constexpr size_t kLanes = 32;

__mmask32 first32(size_t n) { return n >= kLanes ? ~__mmask32(0) : (__mmask32(1) << n) - 1; }

__m512i load(const uint16_t* x) { return _mm512_loadu_si512(x); }
__m512i load_part(const uint16_t* x, size_t n) {  // then the largest numbers
    return _mm512_mask_loadu_epi16(_mm512_set1_epi16(-1), first32(n), x);
}
__mmask32 within(__m512i x, __m512i bound) { return _mm512_cmple_epu16_mask(x, bound); }

// Two of a mask are written without a branch, whether there are any or not: more are rare. out has room for n, so
// there is some for those of the last mask one by one.
size_t select(const uint16_t* numbers, size_t n, uint16_t least, uint16_t most, uint32_t* out) {
    if (most < least) return 0;
    const __m512i from = _mm512_set1_epi16(int16_t(least)), range = _mm512_set1_epi16(int16_t(most - least));
    const auto between = [&](__m512i x) { return within(_mm512_sub_epi16(x, from), range); };
    size_t found = 0, i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
        const uint64_t low = between(load(numbers + i)), high = between(load(numbers + i + kLanes));
        uint64_t some = high << kLanes | low;
        for (int t = 0; t < 2; ++t) {
            out[found] = uint32_t(i + _tzcnt_u64(some));
            found += some != 0;
            some &= some - 1;
        }
        for (; some != 0; some &= some - 1) out[found++] = uint32_t(i + _tzcnt_u64(some));
    }
    for (; i < n; i += kLanes) {
        uint32_t some = first32(n - i) & between(load_part(numbers + i, n - i));
        for (; some != 0; some &= some - 1) out[found++] = uint32_t(i + _tzcnt_u32(some));
    }
    return found;
}

// Parts are the lanes of registers: four for every number that is wanted, or more.
struct Parts {
    static constexpr size_t kTogether = 4, kMost = 64;  // registers
    __m512i least[kMost];
    size_t used;

    Parts(const uint16_t* numbers, size_t n, size_t k) {
        constexpr size_t kPartsAHit = 4, kStep = kTogether * kLanes;
        used = (k * kPartsAHit + kStep - 1) / kStep * kTogether;
        if (used > kMost) used = kMost;
        for (size_t v = 0; v < used; v += kTogether) {
            __m512i low[kTogether];
            for (__m512i& x : low) x = _mm512_set1_epi16(-1);
            size_t i = v * kLanes;
            for (; i + kStep <= n; i += used * kLanes)
                for (size_t t = 0; t < kTogether; ++t)
                    low[t] = _mm512_min_epu16(low[t], load(numbers + i + t * kLanes));
            for (size_t t = 0; i < n && t < kTogether && i + t * kLanes < n; ++t)
                low[t] = _mm512_min_epu16(low[t], load_part(numbers + i + t * kLanes, n - i - t * kLanes));
            for (size_t t = 0; t < kTogether; ++t) least[v + t] = low[t];
        }
    }
    size_t count(uint32_t bound) const {
        const __m512i most = _mm512_set1_epi16(int16_t(bound));
        size_t found[2] = {};
        for (size_t v = 0; v < used; v += 2) {
            const uint64_t low = within(least[v], most), high = within(least[v + 1], most);
            found[v / 2 % 2] += size_t(__builtin_popcountll(high << kLanes | low));
        }
        return found[0] + found[1];
    }
};

// From the highest bit down, until a bound has a few more within it at most.
uint16_t bound(const uint16_t* numbers, size_t n, size_t k) {
    const Parts parts(numbers, n, k);
    uint32_t most = 0;
    for (uint32_t bit = 1u << 15; bit != 0; bit >>= 1) {
        const uint32_t at = most + bit - 1;
        const size_t found = parts.count(at);
        if (found >= k && found <= k + k / 8) return uint16_t(at);
        most += found < k ? bit : 0;
    }
    return uint16_t(most);
}

}  // namespace numbers16

void fill_numbers16(Kernels& k) {
    k.select16 = numbers16::select;
    k.bound16 = numbers16::bound;
}

}  // namespace
}  // namespace annkit::simd
