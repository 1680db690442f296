#include "annkit/math/discriminants.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/errors.h"
#include "annkit/math/linalg.h"
#include "annkit/math/moments.h"
#include "annkit/math/product.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

// Added to the variance of every direction, as a share of the mean variance of a dimension.
constexpr double kRidge = 1e-4;
// Directions with less between the classes, beside the first one's, are rounding.
constexpr double kNothing = 1e-6;

// A row for each class: its mean less that of all, times the root of its share of the rows.
std::vector<float> offsets_of(const Rows& rows, std::span<const size_t> chosen, std::span<const int64_t> labels,
                              const std::vector<double>& mean, const Call& call) {
    constexpr size_t kBlock = 64;
    std::vector<int64_t> classes;
    for (size_t i : chosen) classes.push_back(labels[i]);
    std::sort(classes.begin(), classes.end());
    classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    check(classes.size() > 1, "all labels are ", classes.front(), ", expected two classes at least");
    std::vector<double> sums(classes.size() * rows.dim), counts(classes.size());
    parallel_for((chosen.size() + kBlock - 1) / kBlock, 1, call, [&](size_t task, int) {
        const size_t first = task * kBlock, n = std::min(kBlock, chosen.size() - first);
        std::vector<float> block(n * rows.dim);
        gather_rows(rows, &chosen[first], n, block.data());
        for (size_t i = 0; i < n; ++i) {
            const auto at = std::lower_bound(classes.begin(), classes.end(), labels[chosen[first + i]]);
            const auto c = size_t(at - classes.begin());
            ++counts[c];
            for (size_t j = 0; j < rows.dim; ++j) sums[c * rows.dim + j] += double(block[i * rows.dim + j]) - mean[j];
        }
    });
    std::vector<float> offsets(sums.size());
    for (size_t c = 0; c < classes.size(); ++c) {
        const double scale = 1 / std::sqrt(counts[c] * double(std::max<size_t>(chosen.size() - 1, 1)));
        for (size_t j = 0; j < rows.dim; ++j) offsets[c * rows.dim + j] = float(sums[c * rows.dim + j] * scale);
    }
    return offsets;
}

}  // namespace

Discriminants discriminants_of(const Rows& rows, std::span<const size_t> chosen, std::span<const int64_t> labels,
                               size_t wanted, const Call& call) {
    const size_t dim = rows.dim;
    Moments moments = moments_of(rows, chosen, call);
    std::vector<float> offsets = offsets_of(rows, chosen, labels, moments.mean, call);
    const size_t classes = offsets.size() / dim;
    double variance = 0;
    for (size_t j = 0; j < dim; ++j) variance += moments.covariance[j * dim + j] / double(dim);
    // In units of the mean variance, so that rows of any scale do.
    const double unit = variance > 0 ? 1 / variance : 1;
    for (double& value : moments.covariance) value *= unit;
    for (size_t j = 0; j < dim; ++j) moments.covariance[j * dim + j] += variance > 0 ? kRidge : 1;
    for (float& value : offsets) value = float(double(value) * std::sqrt(unit));
    std::vector<double> between(dim * dim);
    add_outer({offsets.data(), dim, offsets.data(), dim, classes}, between, call);
    SymmetricEigen eigen =
        generalised_eigen(between, moments.covariance, dim, std::min({wanted, dim, classes - 1}), call);
    size_t kept = 1;
    while (kept < eigen.values.size() && eigen.values[kept] > kNothing * eigen.values[0]) ++kept;
    eigen.values.resize(kept);
    eigen.vectors.resize(kept * dim);
    for (double& value : eigen.values) value = std::clamp(value, 0.0, 1.0);
    for (double& value : eigen.vectors) value *= std::sqrt(unit);
    return {std::move(moments.mean), std::move(eigen.vectors), std::move(eigen.values)};
}

}  // namespace annkit
