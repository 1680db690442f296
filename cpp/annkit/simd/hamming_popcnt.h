// Hamming distances at every level with AVX2: word by word.
#pragma once

#include <immintrin.h>

#include "annkit/simd/hamming_rows.h"

namespace annkit::simd {
namespace {

inline uint64_t count_bits(uint64_t x) { return uint64_t(_mm_popcnt_u64(x)); }

using HammingRows256 = HammingRows<WordBits<count_bits>>;

}  // namespace
}  // namespace annkit::simd
