#include "annkit/transform/rotation.h"

#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/orthonormal.h"

namespace annkit {

Rotation::Rotation(size_t dim, bool hadamard) : dim_(dim), hadamard_(hadamard) {
    check(dim <= kMaxTransformDim, "dim is ", dim, ", expected at most ", kMaxTransformDim);
}

std::string Rotation::repr() const {
    const std::string dim = dim_ > 0 ? std::to_string(dim_) : "";
    return concat("Rotation(", dim, !hadamard_ ? "" : dim_ > 0 ? ", kind=\"hadamard\"" : "kind=\"hadamard\"", ")");
}

std::string Rotation::factory(std::string_view) const {
    return concat(hadamard_ ? "HR" : "RR", dim_ > 0 ? std::to_string(dim_) : "");
}

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
    mixing_ = RandomRotation(rows.dim, fit.seed);
}

void Rotation::apply(const Rows& in, float* out) const {
    if (!hadamard_) return map_.apply(in, out);
    const FloatBlock block(in, "the array");
    const size_t outputs = dim_out(dim_in_);
    std::vector<float> row(dim_in_);
    for (size_t i = 0; i < in.n; ++i) {
        std::copy_n(block.row(i), dim_in_, row.data());
        mixing_.apply(row.data());
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
        mixing_.invert(row);
    }
}

void Rotation::save(Writer& out) const {
    out.value("dim", dim_);
    out.value("dim_in", dim_in_);
    out.value("hadamard", hadamard_);
    if (!is_fitted()) return;
    if (hadamard_)
        out.value("seed", int64_t(mixing_.seed()));
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
        part->mixing_ = RandomRotation(dim_in, uint64_t(in.integer("seed", INT64_MIN, INT64_MAX)));
    else
        part->map_ = Affine::load(in, part->dim_out(dim_in), dim_in);
    return part;
}

}  // namespace annkit
