#include "annkit/transform/center.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/moments.h"
#include "annkit/math/sample.h"

namespace annkit {

void Center::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, 1);
    const std::vector<double> mean = mean_of(rows, sample_of(rows.n, rows.n, 0), fit.call).values;
    mean_.assign(mean.begin(), mean.end());
}

void Center::apply(const Rows& in, float* out) const {
    const FloatBlock block(in, "the array");
    for (size_t i = 0; i < in.n; ++i)
        for (size_t j = 0; j < in.dim; ++j) out[i * in.dim + j] = block.row(i)[j] - mean_[j];
}

void Center::invert(const float* in, size_t n, float* out) const {
    const size_t dim = mean_.size();
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < dim; ++j) out[i * dim + j] = in[i * dim + j] + mean_[j];
}

void Center::save(Writer& out) const { out.array("mean", mean_); }

std::unique_ptr<Transform> Center::load(const Reader& in) {
    auto center = std::make_unique<Center>();
    const size_t dim = in.rows("mean");
    check<FormatError>(dim <= kMaxTransformDim, in.file(), ": section mean has ", dim, " rows, expected at most ",
                       kMaxTransformDim);
    const auto mean = in.array<float>("mean", dim);
    check<FormatError>(std::all_of(mean.begin(), mean.end(), [](float x) { return std::isfinite(x); }), in.file(),
                       ": section mean has NaN or infinite values");
    center->mean_.assign(mean.begin(), mean.end());
    return center;
}

}  // namespace annkit
