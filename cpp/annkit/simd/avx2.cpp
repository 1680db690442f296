// AVX2 with FMA and F16C: 16 registers of 8 floats.
#include <immintrin.h>

#include "annkit/simd/affine_avx2.h"
#include "annkit/simd/byte_runs_avx2.h"
#include "annkit/simd/bytes_avx2.h"
#include "annkit/simd/code_scores_avx2.h"
#include "annkit/simd/codes_avx2.h"
#include "annkit/simd/convert_avx2.h"
#include "annkit/simd/float_kernels.h"
#include "annkit/simd/groups_avx2.h"
#include "annkit/simd/hadamard_kernels.h"
#include "annkit/simd/hamming_avx2.h"
#include "annkit/simd/near_pool.h"
#include "annkit/simd/nearest_float.h"
#include "annkit/simd/nibbles_avx2.h"
#include "annkit/simd/planes_avx2.h"
#include "annkit/simd/probes_avx2.h"
#include "annkit/simd/product_kernels.h"
#include "annkit/simd/product_tables.h"
#include "annkit/simd/ranks.h"
#include "annkit/simd/reflection_kernels.h"
#include "annkit/simd/rotation_kernels.h"
#include "annkit/simd/weights.h"
#include "annkit/simd/words_avx2.h"

namespace annkit::simd {
namespace {

struct F32x8 {
    using Reg = __m256;
    static constexpr size_t kLanes = 8;
    static Reg zero() { return _mm256_setzero_ps(); }
    static Reg set1(float x) { return _mm256_set1_ps(x); }
    static Reg load(const float* p) { return _mm256_loadu_ps(p); }
    static Reg load(const Half* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
    static Reg load(const Bf16* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
    static Reg load_part(const float* p, size_t n) {
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), lane));
    }
    static Reg load_part(const Half* p, size_t n) { return _mm256_cvtph_ps(part16(p, n)); }
    static Reg load_part(const Bf16* p, size_t n) { return widen(part16(p, n)); }
    static Reg join(const Split* upper, const Split* lower) {
        return join(_mm_loadu_si128(reinterpret_cast<const __m128i*>(upper)),
                    _mm_loadu_si128(reinterpret_cast<const __m128i*>(lower)));
    }
    static Reg join_part(const Split* upper, const Split* lower, size_t n) {
        return join(part16(upper, n), part16(lower, n));
    }
    static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
    static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
    static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
    static Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
    static Reg min(Reg a, Reg b) { return _mm256_min_ps(a, b); }
    static Reg lt(Reg a, Reg b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
    static Reg select(Reg mask, Reg a, Reg b) { return _mm256_blendv_ps(b, a, mask); }
    static Reg bits(uint32_t x) { return _mm256_castsi256_ps(_mm256_set1_epi32(int(x))); }
    static uint32_t le(Reg a, Reg b) { return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ))); }

    template <size_t H>
    static Reg swap(Reg x) {
        if constexpr (H == 4) return _mm256_permute2f128_ps(x, x, 1);
        return _mm256_permute_ps(x, H == 1 ? 0xb1 : 0x4e);
    }
    static void sum4(Reg a, Reg b, Reg c, Reg d, float* out) {
        const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
        _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
    }

  private:
    static Reg widen(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
    static Reg join(__m128i upper, __m128i lower) {
        const __m256i rounded = _mm256_castps_si256(widen(upper));
        return _mm256_castsi256_ps(_mm256_add_epi32(rounded, _mm256_cvtepi16_epi32(lower)));
    }
    static __m128i part16(const void* p, size_t n) {
        const auto* from = static_cast<const char*>(p);
        uint64_t word[2] = {0, 0};
        auto* to = reinterpret_cast<char*>(word);
        if (n & 4) __builtin_memcpy(to, from, 8), to += 8, from += 8;
        if (n & 2) __builtin_memcpy(to, from, 4), to += 4, from += 4;
        if (n & 1) __builtin_memcpy(to, from, 2);
        return _mm_set_epi64x(int64_t(word[1]), int64_t(word[0]));
    }
};

}  // namespace

void fill_avx2(Kernels& k) {
    fill_float_rows<F32x8>(k);
    fill_float_tiles<F32x8, 2, 6, 1, 12>(k);
    fill_affine(k);
    fill_code_scores(k);
    fill_nearest<F32x8, 2, 6>(k);
    fill_product<F32x8, 6, 2, 3, 8>(k);
    fill_tables<F32x8>(k);
    k.hadamard = hadamard<F32x8>;
    k.rotate_columns = rotate_columns<F64x4>;
    k.reflect_columns = reflect_columns<F64x4>;
    k.nearest_in_group = nearest_in_group<F32x8, Choice8, 2>;
    fill_bytes(k);
    fill_byte_codes(k);
    fill_byte_runs(k);
    fill_weights(k);
    fill_nibbles(k);
    fill_hamming(k);
    fill_words(k);
    fill_convert(k);
    fill_planes(k);
    k.push_near = pool::push;
    k.rank = ranks::rank;
    fill_probes(k);
}

}  // namespace annkit::simd
