#include "annkit/math/hadamard.h"

#include <bit>
#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/simd/kernels.h"

namespace annkit {

void hadamard(std::span<float> x) {
    check(std::has_single_bit(x.size()), "the Hadamard transform got ", x.size(), " values, expected a power of two");
    simd::kernels().hadamard(x.data(), x.size());
    const float scale = 1 / std::sqrt(float(x.size()));
    for (float& value : x) value *= scale;
}

}  // namespace annkit
