#include "annkit/transform/pca.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/linalg.h"
#include "annkit/math/moments.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

// A sample estimates an eigenvalue to about sqrt(2 / rows) of itself: 0.4 % from this many.
constexpr size_t kRowsPerDim = 50, kLeastSample = 100'000;
// Variance below this share of the largest is rounding.
constexpr double kNothing = 1e-12;

// One sign of the two: the largest entry is positive, as signs depend on how the decomposition was computed.
void fix_sign(std::span<double> vector) {
    const auto largest = std::max_element(vector.begin(), vector.end(),
                                          [](double a, double b) { return std::abs(a) < std::abs(b) - 1e-9; });
    if (*largest < 0)
        for (double& value : vector) value = -value;
}

}  // namespace

std::vector<size_t> balanced_order(std::span<const double> variances, size_t m) {
    const size_t n = variances.size(), room = n / m;
    const double largest = *std::max_element(variances.begin(), variances.end());
    const double floor = largest > 0 ? largest * kNothing : 1;
    std::vector<std::vector<size_t>> groups(m);
    std::vector<double> products(m);  // logarithms, above that of the floor: no factor makes a product smaller
    for (size_t i = 0; i < n; ++i) {
        size_t best = m;
        for (size_t g = 0; g < m; ++g)
            if (groups[g].size() < room && (best == m || products[g] < products[best])) best = g;
        groups[best].push_back(i);
        products[best] += std::log(std::max(variances[i], floor) / floor);
    }
    std::vector<size_t> order;
    for (const auto& group : groups) order.insert(order.end(), group.begin(), group.end());
    return order;
}

Pca::Pca(const Options& options) : options_(options) {
    check(options.dim > 0 && options.dim <= kMaxTransformDim, "dim is ", options.dim, ", expected 1 to ",
          kMaxTransformDim);
    check(options.whiten >= 0 && options.whiten <= 1, "whiten is ", options.whiten, ", expected 0 to 1");
    check(options.balance == 0 || (options.balance <= options.dim && options.dim % options.balance == 0), "balance is ",
          options.balance, ", expected a divisor of dim, which is ", options.dim);
}

std::string Pca::repr() const {
    std::string out = concat("PCA(", options_.dim);
    if (options_.whiten == 1) out += ", whiten=True";
    if (options_.whiten > 0 && options_.whiten < 1) {
        char digits[32];
        out += ", whiten=" + std::string(digits, std::to_chars(digits, digits + sizeof digits, options_.whiten).ptr);
    }
    if (options_.balance > 0) out += concat(", balance=", options_.balance);
    return out + ")";
}

std::string Pca::factory(std::string_view) const {
    const auto& [dim, whiten, balance] = options_;
    check((whiten == 0 || whiten == 1) && balance == 0, "no factory string has a word for ", repr());
    return concat(whiten == 1 ? "PCAW" : "PCA", dim);
}

void Pca::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, std::max<size_t>(2, std::min(options_.dim, rows.dim)));
    const size_t dim = options_.dim, inputs = rows.dim;
    if (dim > inputs) fail(repr(), " got rows of dimension ", inputs, ", expected at least ", dim);
    const auto chosen = sample_of(rows.n, std::max(kRowsPerDim * inputs, kLeastSample), fit.seed);
    const Moments moments = moments_of(rows, chosen, fit.call, Look::at_all);
    const double variance = moments.variance();
    SymmetricEigen eigen = symmetric_eigen(moments.covariance, inputs, dim, fit.call);

    std::vector<double> variances(dim);
    for (size_t i = 0; i < dim; ++i) variances[i] = std::max(eigen.values[i], 0.0);
    std::vector<size_t> order(dim);
    std::iota(order.begin(), order.end(), size_t(0));
    if (options_.balance > 0) order = balanced_order(variances, options_.balance);

    std::vector<float> matrix(dim * inputs);
    std::vector<double> kept(dim);
    for (size_t i = 0; i < dim; ++i) {
        const std::span<double> vector(&eigen.vectors[order[i] * inputs], inputs);
        fix_sign(vector);
        kept[i] = variances[order[i]];
        const bool nothing = kept[i] <= variances[0] * kNothing;  // also where nothing varies at all
        const double scale = options_.whiten == 0 ? 1 : nothing ? 0 : std::pow(kept[i], -0.5 * options_.whiten);
        for (size_t j = 0; j < inputs; ++j) matrix[i * inputs + j] = float(vector[j] * scale);
    }
    std::vector<float> mean(moments.mean.begin(), moments.mean.end());
    const bool folds = Affine::folds_well(mean, variance);
    map_ = Affine(std::move(matrix), dim, inputs, std::move(mean), folds);
    variances_ = std::move(kept);
}

void Pca::save(Writer& out) const {
    out.value("dim", options_.dim);
    out.value("dim_in", dim_in());
    out.value("whiten", options_.whiten);
    out.value("balance", options_.balance);
    if (!is_fitted()) return;
    map_.save(out);
    out.array("variances", variances_);
}

std::unique_ptr<Transform> Pca::load(const Reader& in) {
    constexpr auto kMost = int64_t(kMaxTransformDim);
    const Options options{size_t(in.integer("dim", 1, kMost)), in.real("whiten"),
                          size_t(in.integer("balance", 0, kMost))};
    const bool fits =
        options.whiten >= 0 && options.whiten <= 1 && (options.balance == 0 || options.dim % options.balance == 0);
    check<FormatError>(fits, in.file(), ": whiten is ", options.whiten, " and balance ", options.balance, " for dim ",
                       options.dim);
    auto part = std::make_unique<Pca>(options);
    const auto dim_in = size_t(in.integer("dim_in", 0, kMost));
    if (dim_in == 0) return part;
    part->map_ = Affine::load(in, options.dim, dim_in);
    check<FormatError>(!part->map_.mean().empty(), in.file(), ": there is no section mean");
    const auto variances = in.array<double>("variances", options.dim);
    for (double value : variances)
        check<FormatError>(std::isfinite(value) && value >= 0, in.file(), ": section variances holds ", value,
                           ", expected finite values of at least 0");
    part->variances_.assign(variances.begin(), variances.end());
    return part;
}

}  // namespace annkit
