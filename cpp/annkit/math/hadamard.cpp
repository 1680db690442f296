#include "annkit/math/hadamard.h"

#include <bit>
#include <cmath>

#include "annkit/core/errors.h"

namespace annkit {

void hadamard(std::span<float> x) {
    check(std::has_single_bit(x.size()), "the Hadamard transform got ", x.size(), " values, expected a power of two");
    for (size_t half = 1; half < x.size(); half *= 2)
        for (size_t start = 0; start < x.size(); start += 2 * half)
            for (size_t i = start; i < start + half; ++i) {
                const float a = x[i], b = x[i + half];
                x[i] = a + b;
                x[i + half] = a - b;
            }
    const float scale = 1 / std::sqrt(float(x.size()));
    for (float& value : x) value *= scale;
}

}  // namespace annkit
