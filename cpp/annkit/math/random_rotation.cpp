#include "annkit/math/random_rotation.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "annkit/core/random.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Of signs and a transform: after one, a row of one non-zero is even in size only; from the second on entries are
// random sums. The third is a margin for rows of other structure, and for the ends of dimensions that are no power of
// two.
constexpr size_t kRounds = 3;

// Scaled signs, then the transform.
void flip_and_mix(float* x, const float* signs, size_t n) {
    for (size_t i = 0; i < n; ++i) x[i] *= signs[i];
    simd::kernels().hadamard(x, n);
}
void unmix_and_flip(float* x, const float* signs, size_t n) {
    simd::kernels().hadamard(x, n);
    for (size_t i = 0; i < n; ++i) x[i] *= signs[i];
}

// Turns each pair of mirrored places by 45 degrees: its own inverse. Between the transforms of the two ends, it lets
// the ends mix whose overlap is small.
void fold(float* x, size_t n) {
    constexpr auto kScale = float(1 / std::numbers::sqrt2);
    for (size_t i = 0, j = n - 1; i < j; ++i, --j) {
        const float a = x[i] * kScale, b = x[j] * kScale;
        x[i] = a + b;
        x[j] = a - b;
    }
}

}  // namespace

// A power of two takes one transform a round. Other dimensions take two, of the first and of the last part_ places.
RandomRotation::RandomRotation(size_t dim, uint64_t seed) : dim_(dim), part_(std::bit_floor(dim)), seed_(seed) {
    const float scale = 1 / std::sqrt(float(part_));
    Random random(seed);
    signs_.resize(kRounds * (part_ == dim_ ? 1 : 2) * part_);
    for (float& sign : signs_) sign = random.next() >> 63 ? scale : -scale;
}

void RandomRotation::apply(float* x) const {
    const float* signs = signs_.data();
    for (size_t round = 0; round < kRounds; ++round) {
        flip_and_mix(x, signs, part_), signs += part_;
        if (part_ == dim_) continue;
        fold(x, dim_);
        flip_and_mix(x + dim_ - part_, signs, part_), signs += part_;
    }
}

void RandomRotation::invert(float* x) const {
    const float* signs = signs_.data() + signs_.size();
    for (size_t round = 0; round < kRounds; ++round) {
        if (part_ != dim_) {
            unmix_and_flip(x + dim_ - part_, signs -= part_, part_);
            fold(x, dim_);
        }
        unmix_and_flip(x, signs -= part_, part_);
    }
}

}  // namespace annkit
