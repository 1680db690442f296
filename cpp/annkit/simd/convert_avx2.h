// Half floats (f16, bf16) to float32 and back, and the choice of scores by a bound, with AVX2 and
// F16C. Bottlenecks: loads and stores (Zen 4, in cache: 14-22 G values a second); narrowing to bf16, its eight
// operations of rounding (10 G). Selecting rare hits: loads (16-39 G scores a second).
#pragma once

#include <immintrin.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace convert {

struct F16 {
    static __m256 from(__m128i x) { return _mm256_cvtph_ps(x); }
    static __m128i to(__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

struct Bf16 {
    static __m256 from(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
    static __m128i to(__m256 x) {
        const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
        const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
        const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
        const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
        const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
        const __m256i all = _mm256_blendv_epi8(rounded, quiet, nan);
        return _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    }
};

template <class Half>
void widen(const uint16_t* in, size_t n, float* out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, Half::from(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
    if (i == n) return;
    alignas(16) uint16_t last[8] = {};
    alignas(32) float values[8];
    for (size_t j = i; j < n; ++j) last[j - i] = in[j];
    _mm256_store_ps(values, Half::from(_mm_load_si128(reinterpret_cast<const __m128i*>(last))));
    for (size_t j = i; j < n; ++j) out[j] = values[j - i];
}

template <class Half>
void narrow(const float* in, size_t n, uint16_t* out) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), Half::to(_mm256_loadu_ps(in + i)));
    if (i == n) return;
    alignas(32) float last[8] = {};
    alignas(16) uint16_t values[8];
    for (size_t j = i; j < n; ++j) last[j - i] = in[j];
    _mm_store_si128(reinterpret_cast<__m128i*>(values), Half::to(_mm256_load_ps(last)));
    for (size_t j = i; j < n; ++j) out[j] = values[j - i];
}

// For each mask of eight lanes its lanes in order, the rest zero.
struct Lanes {
    uint8_t of[256][8];
    constexpr Lanes() : of() {
        for (uint32_t mask = 0; mask < 256; ++mask)
            for (uint32_t lane = 0, place = 0; lane < 8; ++lane)
                if (mask >> lane & 1) of[mask][place++] = uint8_t(lane);
    }
};
constexpr Lanes kLanes;

// Writes eight indices from found on, whatever the mask: there is room, as found <= first.
size_t keep(__m256 hit, size_t first, uint32_t* out, size_t found) {
    const auto mask = uint32_t(_mm256_movemask_ps(hit));
    const __m256i lanes = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kLanes.of[mask])));
    const __m256i indices = _mm256_add_epi32(lanes, _mm256_set1_epi32(int32_t(first)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + found), indices);
    return found + uint32_t(__builtin_popcount(mask));
}

size_t select(const float* scores, size_t n, float bound, uint32_t* out) {
    const __m256 most = _mm256_set1_ps(bound);
    size_t found = 0, i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256 hit[4];
        for (size_t v = 0; v < 4; ++v) hit[v] = _mm256_cmp_ps(_mm256_loadu_ps(scores + i + 8 * v), most, _CMP_LE_OQ);
        const __m256 any = _mm256_or_ps(_mm256_or_ps(hit[0], hit[1]), _mm256_or_ps(hit[2], hit[3]));
        if (_mm256_movemask_ps(any) == 0) continue;
        for (size_t v = 0; v < 4; ++v) found = keep(hit[v], i + 8 * v, out, found);
    }
    for (; i < n; ++i)
        if (scores[i] <= bound) out[found++] = uint32_t(i);
    return found;
}

size_t count(const float* scores, size_t n, float bound) {
    const __m256 most = _mm256_set1_ps(bound);
    size_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 hit = _mm256_cmp_ps(_mm256_loadu_ps(scores + i), most, _CMP_LE_OQ);
        found += uint32_t(__builtin_popcount(uint32_t(_mm256_movemask_ps(hit))));
    }
    for (; i < n; ++i) found += scores[i] <= bound;
    return found;
}

}  // namespace convert

void fill_convert(Kernels& k) {
    k.widen[0] = convert::widen<convert::F16>;
    k.widen[1] = convert::widen<convert::Bf16>;
    k.narrow[0] = convert::narrow<convert::F16>;
    k.narrow[1] = convert::narrow<convert::Bf16>;
    k.select = convert::select;
    k.count = convert::count;
}

}  // namespace
}  // namespace annkit::simd
