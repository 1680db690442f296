// AVX-512 as of Ice Lake and Zen 4. On Zen 4 a 512-bit operation takes two turns of a 256-bit unit: the gain over AVX2
// lies in twice the registers (24 sums in flight), masks, and the new instructions (VNNI, VPOPCNTDQ, VBMI).
// Rows of float32 stay with AVX2, whose narrower loads get more out of memory (Zen 4: 31 against 27 GB/s), and other
// floats are added in its order; so canonical scores are the same at both levels.
#include <immintrin.h>

#include "annkit/simd/affine_avx512.h"
#include "annkit/simd/byte_runs_avx512.h"
#include "annkit/simd/byte_tables_avx512.h"
#include "annkit/simd/bytes_avx512.h"
#include "annkit/simd/code_scores_avx512.h"
#include "annkit/simd/codes_avx512.h"
#include "annkit/simd/convert_avx512.h"
#include "annkit/simd/float_kernels.h"
#include "annkit/simd/float_pairs.h"
#include "annkit/simd/groups_avx512.h"
#include "annkit/simd/hadamard_kernels.h"
#include "annkit/simd/hamming_avx512.h"
#include "annkit/simd/near_pool_avx512.h"
#include "annkit/simd/nearest_avx512.h"
#include "annkit/simd/nearest_float.h"
#include "annkit/simd/nibbles_avx512.h"
#include "annkit/simd/numbers16_avx512.h"
#include "annkit/simd/planes_avx512.h"
#include "annkit/simd/probes_avx512.h"
#include "annkit/simd/product_kernels.h"
#include "annkit/simd/product_tables.h"
#include "annkit/simd/ranks_avx512.h"
#include "annkit/simd/reflection_kernels.h"
#include "annkit/simd/rotation_kernels.h"
#include "annkit/simd/table_ranges_avx512.h"
#include "annkit/simd/weights.h"
#include "annkit/simd/words_avx512.h"

namespace annkit::simd {
namespace {

struct F32x16 {
    using Reg = __m512;
    static constexpr size_t kLanes = 16;
    static Reg zero() { return _mm512_setzero_ps(); }
    static Reg set1(float x) { return _mm512_set1_ps(x); }
    static Reg load(const float* p) { return _mm512_loadu_ps(p); }
    static Reg load(const Half* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
    static Reg load(const Bf16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
    static Reg load_part(const float* p, size_t n) { return _mm512_maskz_loadu_ps(mask(n), p); }
    static Reg load_part(const Half* p, size_t n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(n), p)); }
    static Reg load_part(const Bf16* p, size_t n) { return widen(_mm256_maskz_loadu_epi16(mask(n), p)); }
    static Reg join(const Split* upper, const Split* lower) {
        return join(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(upper)),
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lower)));
    }
    static Reg join_part(const Split* upper, const Split* lower, size_t n) {
        return join(_mm256_maskz_loadu_epi16(mask(n), upper), _mm256_maskz_loadu_epi16(mask(n), lower));
    }
    static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
    static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
    static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
    template <size_t H>
    static Reg swap(Reg x) {
        if constexpr (H >= 4) return _mm512_shuffle_f32x4(x, x, H == 4 ? 0xb1 : 0x4e);
        return _mm512_permute_ps(x, H == 1 ? 0xb1 : 0x4e);
    }
    // Of both halves of a register together, as F32x8 of AVX2 has it.
    static void sum4(Reg a, Reg b, Reg c, Reg d, float* out) {
        const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(fold(a), fold(b)), _mm256_hadd_ps(fold(c), fold(d)));
        _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
    }
    static Reg fma(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
    static Reg min(Reg a, Reg b) { return _mm512_min_ps(a, b); }
    static uint32_t le(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
    static auto lt(Reg a, Reg b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
    static Reg select(__mmask16 mask, Reg a, Reg b) { return _mm512_mask_blend_ps(mask, b, a); }
    static Reg bits(uint32_t x) { return _mm512_castsi512_ps(_mm512_set1_epi32(int(x))); }

  private:
    static __m256 fold(Reg x) { return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)); }
    static __mmask16 mask(size_t n) { return __mmask16((1u << n) - 1); }
    static Reg widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
    static Reg join(__m256i upper, __m256i lower) {
        const __m512i rounded = _mm512_castps_si512(widen(upper));
        return _mm512_castsi512_ps(_mm512_add_epi32(rounded, _mm512_cvtepi16_epi32(lower)));
    }
};

}  // namespace

void fill_avx512(Kernels& k) {
    fill_paired_rows<F32x16>(k);
    fill_float_tiles<F32x16, 2, 12, 1, 24>(k);
    fill_nearest<F32x16, 2, 12>(k);
    fill_product<F32x16, 12, 2, 6, 8>(k);
    fill_tables<F32x16>(k);
    k.table_ranges = table_ranges_16<F32x16>;
    k.hadamard = hadamard<F32x16>;
    k.rotate_columns = rotate_columns<F64x8>;
    k.reflect_columns = reflect_columns<F64x8>;
    k.nearest_in_group = nearest_in_group<F32x16, Choice16, 4>;
    fill_bytes(k);
    fill_nearest_i8<F32x16>(k);
    fill_affine(k);
    fill_byte_codes(k);
    fill_byte_runs(k);
    fill_code_scores(k);
    fill_weights(k);
    fill_nibbles(k);
    fill_byte_tables(k);
    fill_hamming(k);
    fill_words(k);
    fill_convert(k);
    fill_numbers16(k);
    k.rank = ranks::rank;
    fill_planes(k);
    k.push_near = pool::push_512;
    fill_probes(k);
    k.filter_queries = 16;
}

}  // namespace annkit::simd
