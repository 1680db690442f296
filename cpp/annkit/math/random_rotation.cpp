#include "annkit/math/random_rotation.h"

#include <bit>
#include <span>

#include "annkit/core/random.h"
#include "annkit/math/hadamard.h"

namespace annkit {
namespace {

// Three rounds make the entries of rotated unit vectors as good as normal even where one coordinate holds everything.
constexpr size_t kRounds = 3;

}  // namespace

RandomRotation::RandomRotation(size_t dim, uint64_t seed)
    : dim_(dim), power_(std::bit_floor(dim)), signs_(kRounds * dim) {
    Random random(seed);
    for (float& sign : signs_) sign = random.next() >> 63 ? -1.0f : 1.0f;
}

void RandomRotation::transform_first(float* x) const { hadamard(std::span(x, power_)); }
void RandomRotation::transform_last(float* x) const {
    if (power_ < dim_) hadamard(std::span(x + dim_ - power_, power_));
}

void RandomRotation::apply(float* x) const {
    for (size_t round = 0; round < kRounds; ++round) {
        const float* signs = &signs_[round * dim_];
        for (size_t j = 0; j < dim_; ++j) x[j] *= signs[j];
        transform_first(x);
        transform_last(x);
    }
}

// Signs and transforms are their own inverses.
void RandomRotation::invert(float* x) const {
    for (size_t round = kRounds; round-- > 0;) {
        const float* signs = &signs_[round * dim_];
        transform_last(x);
        transform_first(x);
        for (size_t j = 0; j < dim_; ++j) x[j] *= signs[j];
    }
}

}  // namespace annkit
