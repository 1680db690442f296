// Plain C++, for any machine: what every level starts from, and what the tests compare the others with.
#include "annkit/simd/affine_scalar.h"
#include "annkit/simd/bytes_scalar.h"
#include "annkit/simd/code_scores_scalar.h"
#include "annkit/simd/codes_scalar.h"
#include "annkit/simd/convert_scalar.h"
#include "annkit/simd/float_kernels.h"
#include "annkit/simd/groups_scalar.h"
#include "annkit/simd/hadamard_kernels.h"
#include "annkit/simd/hamming_scalar.h"
#include "annkit/simd/near_pool.h"
#include "annkit/simd/nearest_float.h"
#include "annkit/simd/numbers16_scalar.h"
#include "annkit/simd/planes_scalar.h"
#include "annkit/simd/probes_scalar.h"
#include "annkit/simd/product_kernels.h"
#include "annkit/simd/product_tables.h"
#include "annkit/simd/ranks.h"
#include "annkit/simd/reflection_kernels.h"
#include "annkit/simd/rotation_kernels.h"
#include "annkit/simd/weights.h"
#include "annkit/simd/words_scalar.h"

namespace annkit::simd {
namespace {

struct F32x4 {  // four floats that the compiler keeps in a register of the platform's baseline
    struct Reg {
        float v[4];
    };
    static constexpr size_t kLanes = 4;
    static Reg zero() { return {}; }
    static Reg set1(float x) { return {{x, x, x, x}}; }
    template <class T>
    static Reg load(const T* p) {
        return {{to_float(p[0]), to_float(p[1]), to_float(p[2]), to_float(p[3])}};
    }
    template <class T>
    static Reg load_part(const T* p, size_t n) {
        Reg x{};
        for (size_t i = 0; i < n; ++i) x.v[i] = to_float(p[i]);
        return x;
    }
    static Reg join(const Split* upper, const Split* lower) { return join_part(upper, lower, kLanes); }
    static Reg join_part(const Split* upper, const Split* lower, size_t n) {
        Reg x{};
        for (size_t i = 0; i < n; ++i) x.v[i] = convert::from_split(upper[i].bits, lower[i].bits);
        return x;
    }
    static void store(float* p, Reg x) {
        for (size_t i = 0; i < 4; ++i) p[i] = x.v[i];
    }
    static Reg add(Reg a, Reg b) {
        return each([&](size_t i) { return a.v[i] + b.v[i]; });
    }
    static Reg sub(Reg a, Reg b) {
        return each([&](size_t i) { return a.v[i] - b.v[i]; });
    }
    static Reg fma(Reg a, Reg b, Reg c) {
        return each([&](size_t i) { return a.v[i] * b.v[i] + c.v[i]; });
    }
    static Reg min(Reg a, Reg b) {
        return each([&](size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
    }
    struct Mask {
        bool v[4];
    };
    static Mask lt(Reg a, Reg b) { return {{a.v[0] < b.v[0], a.v[1] < b.v[1], a.v[2] < b.v[2], a.v[3] < b.v[3]}}; }
    static Reg select(Mask mask, Reg a, Reg b) {
        return each([&](size_t i) { return mask.v[i] ? a.v[i] : b.v[i]; });
    }
    static Reg bits(uint32_t x) { return set1(__builtin_bit_cast(float, x)); }
    template <size_t H>
    static Reg swap(Reg x) {
        return each([&](size_t i) { return x.v[i ^ H]; });
    }
    static uint32_t le(Reg a, Reg b) {
        uint32_t mask = 0;
        for (uint32_t i = 0; i < 4; ++i) mask |= uint32_t(a.v[i] <= b.v[i]) << i;
        return mask;
    }
    static void sum4(Reg a, Reg b, Reg c, Reg d, float* out) {
        const Reg* all[] = {&a, &b, &c, &d};
        for (size_t t = 0; t < 4; ++t) out[t] = (all[t]->v[0] + all[t]->v[1]) + (all[t]->v[2] + all[t]->v[3]);
    }

  private:
    template <class F>
    static Reg each(F f) {
        return {{f(0), f(1), f(2), f(3)}};
    }
    static float to_float(float x) { return x; }
    static float to_float(Half x) { return convert::from_f16(x.bits); }
    static float to_float(Bf16 x) { return convert::from_bf16(x.bits); }
};

}  // namespace

void fill_scalar(Kernels& k) {
    fill_float_rows<F32x4>(k);
    fill_float_tiles<F32x4, 2, 3, 1, 3>(k);
    fill_affine(k);
    fill_code_scores(k);
    fill_weights(k);
    fill_nearest<F32x4, 2, 3>(k);
    fill_product<F32x4, 3, 2, 2, 4>(k);
    fill_tables<F32x4>(k);
    k.hadamard = hadamard<F32x4>;
    k.rotate_columns = rotate_columns<F64x2>;
    k.reflect_columns = reflect_columns<F64x2>;
    k.nearest_in_group = nearest_in_group<F32x4, PlainChoice<F32x4>, 1>;
    fill_bytes(k);
    fill_codes(k);
    fill_hamming(k);
    fill_words(k);
    fill_convert(k);
    fill_numbers16(k);
    k.rank = ranks::rank;
    fill_planes(k);
    k.push_near = pool::push;
    fill_probes(k);
}

}  // namespace annkit::simd
