#include "annkit/transform/projection.h"

#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/moments.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

// Over all dimensions, of some of the rows.
double variance_about(const std::vector<float>& mean, const Rows& rows, uint64_t seed) {
    constexpr size_t kSome = 1000;
    const std::vector<size_t> chosen = sample_of(rows.n, kSome, seed);
    std::vector<float> some(chosen.size() * rows.dim);
    gather_rows(rows, chosen.data(), chosen.size(), some.data());
    double sum = 0;
    for (size_t i = 0; i < some.size(); ++i) {
        const double from_mean = double(some[i]) - mean[i % rows.dim];
        sum += from_mean * from_mean;
    }
    return sum / double(chosen.size());
}

}  // namespace

Projection::Projection(size_t dim, bool centers) : dim_(dim), centers_(centers) {
    check(dim > 0 && dim <= kMaxTransformDim, "dim is ", dim, ", expected 1 to ", kMaxTransformDim);
}

std::string Projection::repr() const { return concat("Projection(", dim_, centers_ ? ", center=True)" : ")"); }

void Projection::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, centers_ ? 1 : 0);
    std::vector<float> mean;
    bool folds = false;
    if (centers_) {
        const std::vector<double> values = mean_of(rows, sample_of(rows.n, rows.n, 0), fit.call).values;
        mean.assign(values.begin(), values.end());
        folds = Affine::folds_well(mean, variance_about(mean, rows, fit.seed));
    }
    Random random(fit.seed);
    std::vector<float> matrix(dim_ * rows.dim);
    const double scale = 1 / std::sqrt(double(dim_));
    for (float& value : matrix) value = float(random.normal() * scale);
    map_ = Affine(std::move(matrix), dim_, rows.dim, std::move(mean), folds);
}

void Projection::invert(const float*, size_t, float*) const { fail(repr(), " cannot be inverted"); }

void Projection::save(Writer& out) const {
    out.value("dim", dim_);
    out.value("dim_in", dim_in());
    if (centers_) out.value("center", int64_t(1));
    if (is_fitted()) map_.save(out);
}

std::unique_ptr<Transform> Projection::load(const Reader& in) {
    const bool centers = in.has("center") && in.integer("center", 0, 1) != 0;
    auto part = std::make_unique<Projection>(size_t(in.integer("dim", 1, int64_t(kMaxTransformDim))), centers);
    const auto dim_in = size_t(in.integer("dim_in", 0, int64_t(kMaxTransformDim)));
    if (dim_in == 0) return part;
    part->map_ = Affine::load(in, part->dim_, dim_in);
    check<FormatError>(part->map_.mean().empty() != centers, in.file(), ": a projection ",
                       centers ? "without a" : "with a", " mean");
    return part;
}

}  // namespace annkit
