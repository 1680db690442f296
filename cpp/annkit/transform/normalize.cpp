#include "annkit/transform/normalize.h"

#include <cmath>

#include "annkit/core/errors.h"

namespace annkit {

void Normalize::apply(const Rows& in, float* out) const {
    constexpr float kTiny = 1e-30f;  // squares of smaller rows fall among the subnormal floats
    const FloatBlock block(in, "the array");
    for (size_t i = 0; i < in.n; ++i) {
        const float* x = block.row(i);
        double norm2 = double(block.norm2(i));
        if (norm2 < kTiny) {
            norm2 = 0;
            for (size_t j = 0; j < in.dim; ++j) norm2 += double(x[j]) * double(x[j]);
        }
        const double scale = norm2 > 0 ? 1 / std::sqrt(norm2) : 0;
        for (size_t j = 0; j < in.dim; ++j) out[i * in.dim + j] = float(double(x[j]) * scale);
    }
}

void Normalize::invert(const float*, size_t, float*) const { fail("Normalize() cannot be inverted"); }

}  // namespace annkit
