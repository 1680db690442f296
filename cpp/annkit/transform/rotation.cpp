#include "annkit/transform/rotation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/orthonormal.h"
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

Rotation::Rotation(size_t dim, bool hadamard) : dim_(dim), hadamard_(hadamard) {
    check(dim <= kMaxTransformDim, "dim is ", dim, ", expected at most ", kMaxTransformDim);
}

std::string Rotation::repr() const {
    const std::string dim = dim_ > 0 ? std::to_string(dim_) : "";
    return concat("Rotation(", dim, !hadamard_ ? "" : dim_ > 0 ? ", kind=\"hadamard\"" : "kind=\"hadamard\"", ")");
}

std::string Rotation::factory() const { return concat(hadamard_ ? "HR" : "RR", dim_ > 0 ? std::to_string(dim_) : ""); }

void Rotation::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, 0);
    if (dim_ > rows.dim) fail(repr(), " got rows of dimension ", rows.dim, ", expected at least ", dim_);
    if (!hadamard_) {
        const size_t outputs = dim_out(rows.dim);
        map_ = Affine(random_orthonormal(outputs, rows.dim, fit.seed, fit.call), outputs, rows.dim);
        dim_in_ = rows.dim;
        return;
    }
    dim_in_ = rows.dim;
    draw_signs(fit.seed);
}

// A power of two takes one transform a round. Other dimensions take two, of the first and of the last bit_floor(dim)
// places. Signs come with the scale that keeps lengths.
void Rotation::draw_signs(uint64_t seed) {
    seed_ = seed;
    const size_t part = std::bit_floor(dim_in_), ends = part == dim_in_ ? 1 : 2;
    const float scale = 1 / std::sqrt(float(part));
    Random random(seed);
    signs_.resize(kRounds * ends * part);
    for (float& sign : signs_) sign = random.next() >> 63 ? scale : -scale;
}

void Rotation::forward(float* x) const {
    const size_t part = std::bit_floor(dim_in_);
    const float* signs = signs_.data();
    for (size_t round = 0; round < kRounds; ++round) {
        flip_and_mix(x, signs, part), signs += part;
        if (part == dim_in_) continue;
        fold(x, dim_in_);
        flip_and_mix(x + dim_in_ - part, signs, part), signs += part;
    }
}

void Rotation::backward(float* x) const {
    const size_t part = std::bit_floor(dim_in_);
    const float* signs = signs_.data() + signs_.size();
    for (size_t round = 0; round < kRounds; ++round) {
        if (part != dim_in_) {
            unmix_and_flip(x + dim_in_ - part, signs -= part, part);
            fold(x, dim_in_);
        }
        unmix_and_flip(x, signs -= part, part);
    }
}

void Rotation::apply(const Rows& in, float* out, size_t row_offset) const {
    if (!hadamard_) return map_.apply(in, out, row_offset);
    const FloatBlock block(in, "the array", row_offset);
    const size_t outputs = dim_out(dim_in_);
    std::vector<float> row(dim_in_);
    for (size_t i = 0; i < in.n; ++i) {
        std::copy_n(block.row(i), dim_in_, row.data());
        forward(row.data());
        std::copy_n(row.data(), outputs, out + i * outputs);
    }
}

void Rotation::invert(const float* in, size_t n, float* out) const {
    if (!hadamard_) return map_.invert(in, n, out);
    const size_t outputs = dim_out(dim_in_);
    for (size_t i = 0; i < n; ++i) {
        float* row = out + i * dim_in_;
        std::copy_n(in + i * outputs, outputs, row);
        std::fill(row + outputs, row + dim_in_, 0.0f);
        backward(row);
    }
}

void Rotation::save(Writer& out) const {
    out.value("dim", dim_);
    out.value("dim_in", dim_in_);
    out.value("hadamard", hadamard_);
    if (!is_fitted()) return;
    if (hadamard_)
        out.value("seed", int64_t(seed_));
    else
        map_.save(out);
}

std::unique_ptr<Transform> Rotation::load(const Reader& in) {
    constexpr auto kMost = int64_t(kMaxTransformDim);
    const auto dim = size_t(in.integer("dim", 0, kMost)), dim_in = size_t(in.integer("dim_in", 0, kMost));
    auto part = std::make_unique<Rotation>(dim, in.integer("hadamard", 0, 1) == 1);
    if (dim_in == 0) return part;
    check<FormatError>(dim <= dim_in, in.file(), ": dim is ", dim, ", expected at most dim_in ", dim_in);
    part->dim_in_ = dim_in;
    if (part->hadamard_)
        part->draw_signs(uint64_t(in.integer("seed", INT64_MIN, INT64_MAX)));
    else
        part->map_ = Affine::load(in, part->dim_out(dim_in), dim_in);
    return part;
}

}  // namespace annkit
