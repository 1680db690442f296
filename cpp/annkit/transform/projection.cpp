#include "annkit/transform/projection.h"

#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {

Projection::Projection(size_t dim) : dim_(dim) {
    check(dim > 0 && dim <= kMaxTransformDim, "dim is ", dim, ", expected 1 to ", kMaxTransformDim);
}

std::string Projection::repr() const { return concat("Projection(", dim_, ")"); }

void Projection::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, 0);
    Random random(fit.seed);
    std::vector<float> matrix(dim_ * rows.dim);
    const double scale = 1 / std::sqrt(double(dim_));
    for (float& value : matrix) value = float(random.normal() * scale);
    map_ = Affine(std::move(matrix), dim_, rows.dim);
}

void Projection::invert(const float*, size_t, float*) const { fail(repr(), " cannot be inverted"); }

void Projection::save(Writer& out) const {
    out.value("dim", dim_);
    out.value("dim_in", dim_in());
    if (is_fitted()) map_.save(out);
}

std::unique_ptr<Transform> Projection::load(const Reader& in) {
    auto part = std::make_unique<Projection>(size_t(in.integer("dim", 1, int64_t(kMaxTransformDim))));
    const auto dim_in = size_t(in.integer("dim_in", 0, int64_t(kMaxTransformDim)));
    if (dim_in > 0) part->map_ = Affine::load(in, part->dim_, dim_in);
    return part;
}

}  // namespace annkit
