#include "annkit/index/lsh_hash.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/linalg.h"
#include "annkit/math/moments.h"
#include "annkit/math/orthonormal.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

constexpr size_t kSample = 20'000, kSamplePerDim = 8;
// Beyond, decompositions take minutes: directions are then drawn from the whole space.
constexpr size_t kMostPrincipal = 4096;
// Values that are kept within it have finite squares.
constexpr float kLargest = 1e18F;
// Principal directions for so many functions: fewer and functions repeat each other, more and they see noise. Of the
// sketches, recall at equal numbers of candidates was best from half the bits to all of them on the three sets of
// bench/lsh_bars.py.
size_t span_of_table(size_t values) { return std::max<size_t>(2 * values, 16); }
size_t span_of_sketch(size_t bits) { return std::max<size_t>(bits / 2, 32); }

// n random rows within the span of the first of the basis' rows, in groups that are orthonormal; an empty basis is the
// whole space.
void add_directions(size_t n, std::span<const float> basis, size_t span, size_t width, uint64_t seed, const Call& call,
                    std::vector<float>& out) {
    for (size_t done = 0; done < n; done += span) {
        const size_t count = std::min(span, n - done), at = out.size();
        const std::vector<float> mix = random_orthonormal(count, span, seed + done, call);
        if (basis.empty()) {
            out.insert(out.end(), mix.begin(), mix.end());
            continue;
        }
        out.resize(at + count * width);
        multiply(mix.data(), count, span, PackedMatrix::of_transposed(basis.data(), span, width), &out[at], call);
    }
}

}  // namespace

LshHash::LshHash(const LshOptions& options, Metric metric, size_t dim)
    : options_(options), metric_(metric), dim_(dim), family_(make_lsh_family(options.kind, options.bits, width())) {}

LshHash::LshHash(const LshOptions& options, Metric metric, const Rows& rows, const Fit& fit)
    : LshHash(options, metric, rows.dim) {
    const auto chosen = sample_of(rows.n, std::max(kSample, kSamplePerDim * rows.dim), fit.seed);
    find_reach(rows, chosen);
    std::vector<float> sample;
    for (size_t first = 0; first < chosen.size(); first += 256) {
        std::vector<float> some(std::min<size_t>(256, chosen.size() - first) * dim_);
        gather_rows(rows, &chosen[first], some.size() / dim_, some.data());
        const auto ready = prepared(Rows::of(some.data(), some.size() / dim_, dim_), Side::row, "the array");
        sample.insert(sample.end(), ready.begin(), ready.end());
        if (fit.call.monitor) fit.call.monitor->poll();
    }
    const Rows view = Rows::of(sample.data(), chosen.size(), width());
    map_ = draw(view, fit);
    set_offsets(view, fit);
}

void LshHash::find_reach(const Rows& rows, std::span<const size_t> chosen) {
    if (metric_ != Metric::ip) return;
    float most = 0;
    for (const size_t i : chosen) most = std::max(most, FloatBlock(rows.slice(i, 1), "the array").norm2(0));
    reach_ = most > 0 ? std::sqrt(most) : 1;
}

Affine LshHash::draw(const Rows& sample, const Fit& fit) const {
    const size_t w = width();
    std::vector<float> mean, basis;
    size_t known = w;  // principal directions
    if (options_.principal && sample.n > 1) {
        std::vector<size_t> all(sample.n);
        for (size_t i = 0; i < all.size(); ++i) all[i] = i;
        if (w <= kMostPrincipal) {
            const Moments moments = moments_of(sample, all, fit.call);
            mean.assign(moments.mean.begin(), moments.mean.end());
            known = std::min(w, std::max(span_of_table(family_->values()), span_of_sketch(options_.sketch)));
            const SymmetricEigen eigen = symmetric_eigen(moments.covariance, w, known, fit.call);
            basis.assign(eigen.vectors.begin(), eigen.vectors.begin() + ptrdiff_t(known * w));
        } else {
            const Mean found = mean_of(sample, all, fit.call);
            mean.assign(found.values.begin(), found.values.end());
        }
    }
    const auto span = [&](size_t wanted) { return basis.empty() ? w : std::min(wanted, known); };
    std::vector<float> matrix;
    Random seeds(fit.seed);
    const bool gaussian = !options_.principal && options_.kind != LshKind::cross_polytope;
    for (size_t t = 0; t < options_.tables; ++t) {
        const size_t n = family_->values(), s = span(span_of_table(n));
        if (!gaussian) {
            add_directions(n, std::span(basis).first(basis.empty() ? 0 : s * w), s, w, seeds.next(), fit.call, matrix);
            continue;
        }
        for (size_t i = 0; i < n * w; ++i) matrix.push_back(float(seeds.normal()));
    }
    const size_t s = span(span_of_sketch(options_.sketch));
    add_directions(options_.sketch, std::span(basis).first(basis.empty() ? 0 : s * w), s, w, seeds.next(), fit.call,
                   matrix);
    const size_t outputs = table_values() + options_.sketch;
    return {std::move(matrix), outputs, w, std::move(mean)};
}

// Medians, where the values' signs count; stretches begin anywhere within their length.
void LshHash::set_offsets(const Rows& sample, const Fit& fit) {
    constexpr size_t kRows = 4096;
    const size_t n = values();
    offsets_.assign(n, 0);
    scales_.assign(n, 1);
    const Rows few = sample.slice(0, std::min(sample.n, kRows));
    std::vector<float> seen(few.n * n), column(few.n);
    if (few.n > 0) map_.apply(few, seen.data());
    const bool stretches = options_.kind == LshKind::p_stable, corners = options_.kind == LshKind::cross_polytope;
    double deviation = 0;
    for (size_t j = 0; j < n && few.n > 0; ++j) {
        for (size_t i = 0; i < few.n; ++i) column[i] = seen[i * n + j];
        if (stretches && j < table_values()) {
            double sum = 0, squares = 0;
            for (const float x : column) sum += x;
            for (const float x : column) squares += (x - sum / double(few.n)) * (x - sum / double(few.n));
            deviation += std::sqrt(squares / double(few.n)) / double(table_values());
        } else if (options_.principal && !(corners && j < table_values())) {
            std::nth_element(column.begin(), column.begin() + ptrdiff_t(few.n / 2), column.end());
            offsets_[j] = column[few.n / 2];
        }
    }
    if (!stretches) return;
    const double width = options_.width > 0 ? options_.width : std::max(deviation, 1e-12);
    Random random(fit.seed + 1);
    for (size_t j = 0; j < table_values(); ++j) {
        offsets_[j] = float(-width * random.uniform());
        scales_[j] = float(1 / width);
    }
}

// Rows of length one for cosine. For the inner product rows get one more value that makes their lengths equal, and
// queries a zero: the nearest by l2 are then those with the largest inner product (Neyshabur and Srebro: On symmetric
// and asymmetric LSHs for inner product search, ICML 2015). Queries are made as long as rows, which changes no order.
std::vector<float> LshHash::prepared(const Rows& rows, Side side, std::string_view what) const {
    const FloatBlock block(rows, what);
    const size_t w = width();
    std::vector<float> out(rows.n * w);
    for (size_t i = 0; i < rows.n; ++i) {
        const bool scaled = metric_ == Metric::cosine || (metric_ == Metric::ip && side == Side::query);
        const float scale = scaled ? inverse_norm(block.norm2(i)) * (metric_ == Metric::ip ? reach_ : 1) : 1;
        float* to = &out[i * w];
        for (size_t j = 0; j < dim_; ++j) to[j] = block.row(i)[j] * scale;
        if (metric_ == Metric::ip)
            to[dim_] = side == Side::query ? 0 : std::sqrt(std::max(reach_ * reach_ - block.norm2(i), 0.0F));
    }
    return out;
}

void LshHash::apply(const Rows& rows, Side side, std::string_view what, float* values) const {
    const std::vector<float> ready = prepared(rows, side, what);
    map_.apply(Rows::of(ready.data(), rows.n, width(), rows.first), values);
    const size_t n = this->values();
    for (size_t i = 0; i < rows.n; ++i)
        for (size_t j = 0; j < n; ++j) {
            const float value = (values[i * n + j] - offsets_[j]) * scales_[j];
            // In this order of comparisons NaN becomes a number, too.
            values[i * n + j] = value > -kLargest ? (value < kLargest ? value : kLargest) : -kLargest;
        }
}

void LshHash::sketch(const float* values, uint8_t* out) const {
    const float* y = values + table_values();
    for (size_t byte = 0; byte < sketch_bytes(); ++byte, y += 8) {
        unsigned bits = 0;
        for (unsigned j = 0; j < 8; ++j) bits |= unsigned(y[j] > 0) << j;
        out[byte] = uint8_t(bits);
    }
}

void LshHash::save(Writer& out) const {
    map_.save(out);
    out.array("offsets", offsets_);
    out.array("scales", scales_);
    out.value("reach", double(reach_));
}

LshHash LshHash::load(const Reader& in, const LshOptions& options, Metric metric, size_t dim) {
    LshHash hash(options, metric, dim);
    const size_t outputs = hash.table_values() + options.sketch;
    hash.map_ = Affine::load(in, outputs, hash.width());
    const auto read = [&](std::string_view name) {
        const auto values = in.array<float>(name, outputs);
        for (const float value : values)
            check<FormatError>(std::isfinite(value), in.file(), ": section ", name, " holds ", double(value),
                               ", expected finite values");
        return std::vector<float>(values.begin(), values.end());
    };
    hash.offsets_ = read("offsets");
    hash.scales_ = read("scales");
    hash.reach_ = float(in.real("reach"));
    check<FormatError>(hash.reach_ > 0 && double(hash.reach_) * hash.reach_ < double(std::numeric_limits<float>::max()),
                       in.file(), ": reach is ", double(hash.reach_));
    return hash;
}

}  // namespace annkit
