#include "annkit/transform/spectral.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/transform/pca.h"

namespace annkit {
namespace {

struct Range {
    float least = 0, width = 0;
};
struct Mode {
    size_t component;
    double frequency;
};

// The least values and the widths of each component over all rows.
std::vector<Range> ranges_of(const Transform& components, const Rows& rows, const Call& call) {
    constexpr size_t kBlock = 144;
    const size_t dim = components.dim_out(rows.dim), blocks = (rows.n + kBlock - 1) / kBlock;
    std::vector<float> least(blocks * dim), most(blocks * dim);
    const double work = double(rows.n) * double(rows.dim) * double(dim);
    parallel_for(blocks, threads_for(call, work), call, [&](size_t block, int) {
        const size_t first = block * kBlock, count = std::min(kBlock, rows.n - first);
        std::vector<float> values(count * dim);
        components.apply(rows.slice(first, count), values.data());
        for (size_t j = 0; j < dim; ++j) {
            float low = values[j], high = values[j];
            for (size_t i = 1; i < count; ++i) {
                low = std::min(low, values[i * dim + j]);
                high = std::max(high, values[i * dim + j]);
            }
            least[block * dim + j] = low, most[block * dim + j] = high;
        }
    });
    std::vector<Range> ranges(dim);
    for (size_t j = 0; j < dim; ++j) {
        float low = least[j], high = most[j];
        for (size_t block = 1; block < blocks; ++block) {
            low = std::min(low, least[block * dim + j]);
            high = std::max(high, most[block * dim + j]);
        }
        ranges[j] = {low, high - low};
    }
    return ranges;
}

// Those of the lowest frequencies, k * pi / width: the smallest eigenvalues. Ties go to the first component.
std::vector<Mode> modes_of(const std::vector<Range>& ranges, size_t wanted) {
    constexpr float kNothing = 1e-6f;  // narrower components, beside the widest, hold rounding alone
    float widest = 0;
    for (const Range& range : ranges) widest = std::max(widest, range.width);
    std::vector<double> next(ranges.size(), std::numeric_limits<double>::infinity());
    for (size_t i = 0; i < ranges.size(); ++i)
        if (ranges[i].width > kNothing * widest) next[i] = std::numbers::pi / double(ranges[i].width);
    std::vector<Mode> modes;
    while (widest > 0 && modes.size() < wanted) {
        const auto lowest = size_t(std::min_element(next.begin(), next.end()) - next.begin());
        modes.push_back({lowest, next[lowest]});
        next[lowest] += std::numbers::pi / double(ranges[lowest].width);
    }
    return modes;
}

}  // namespace

Spectral::Spectral(size_t bits) : bits_(bits) {
    check(bits > 0 && bits <= kMaxTransformDim, "bits is ", bits, ", expected 1 to ", kMaxTransformDim);
}

std::string Spectral::repr() const { return concat("Spectral(", bits_, ")"); }

void Spectral::fit(const Rows& rows, const Fit& fit) {
    check_fit(*this, rows, 2);
    Pca pca({std::min({bits_, rows.dim, rows.n})});
    pca.fit(rows, fit);
    const std::vector<Range> ranges = ranges_of(pca, rows, fit.call);
    const std::vector<Mode> modes = modes_of(ranges, bits_);
    // Equal rows have no modes: all outputs are cos(0).
    std::vector<float> matrix(bits_ * rows.dim), phases(bits_);
    for (size_t i = 0; i < modes.size(); ++i) {
        const auto& [component, frequency] = modes[i];
        const float* direction = &pca.map().matrix()[component * rows.dim];
        for (size_t j = 0; j < rows.dim; ++j) matrix[i * rows.dim + j] = float(frequency * double(direction[j]));
        phases[i] = float(frequency * double(ranges[component].least));
    }
    map_ = Affine(std::move(matrix), bits_, rows.dim, pca.map().mean(), pca.map().folds());
    phases_ = std::move(phases);
}

void Spectral::apply(const Rows& in, float* out) const {
    map_.apply(in, out);
    for (size_t i = 0; i < in.n; ++i)
        for (size_t j = 0; j < bits_; ++j) out[i * bits_ + j] = std::cos(out[i * bits_ + j] - phases_[j]);
}

void Spectral::invert(const float*, size_t, float*) const { fail(repr(), " cannot be inverted"); }

void Spectral::save(Writer& out) const {
    out.value("bits", bits_);
    out.value("dim_in", dim_in());
    if (!is_fitted()) return;
    map_.save(out);
    out.array("phases", phases_);
}

std::unique_ptr<Transform> Spectral::load(const Reader& in) {
    auto part = std::make_unique<Spectral>(size_t(in.integer("bits", 1, int64_t(kMaxTransformDim))));
    const auto dim_in = size_t(in.integer("dim_in", 0, int64_t(kMaxTransformDim)));
    if (dim_in == 0) return part;
    part->map_ = Affine::load(in, part->bits_, dim_in);
    const auto phases = in.array<float>("phases", part->bits_);
    check<FormatError>(std::all_of(phases.begin(), phases.end(), [](float x) { return std::isfinite(x); }), in.file(),
                       ": section phases has NaN or infinite values");
    part->phases_.assign(phases.begin(), phases.end());
    return part;
}

}  // namespace annkit
