#include "annkit/codec/scalar.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "annkit/codec/scalar_queries.h"
#include "annkit/codec/scalar_walk.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/middle.h"
#include "annkit/math/wide_dimensions.h"

namespace annkit {
namespace {

size_t padded(size_t dim) { return (dim + 3) / 4 * 4; }

// What is learned from some rows.
struct Extent {
    std::vector<float> low, high;
    std::vector<double> sum;
    explicit Extent(size_t dim)
        : low(dim, std::numeric_limits<float>::infinity()),
          high(dim, -std::numeric_limits<float>::infinity()),
          sum(dim) {}

    void add(const float* x) {
        for (size_t j = 0; j < low.size(); ++j) {
            low[j] = std::min(low[j], x[j]);
            high[j] = std::max(high[j], x[j]);
            sum[j] += x[j];
        }
    }
    void add(const Extent& other) {
        for (size_t j = 0; j < low.size(); ++j) {
            low[j] = std::min(low[j], other.low[j]);
            high[j] = std::max(high[j], other.high[j]);
            sum[j] += other.sum[j];
        }
    }
};

// A few rows that are far from all others stretch the ranges until others cannot be told apart.
void warn_of_far(const Rows& rows, const Extent& extent, const Call& call) {
    constexpr double kFar = 1000;
    if (call.monitor == nullptr) return;
    const Middle middle = middle_of(rows);
    double reach2 = 0;
    for (size_t j = 0; j < rows.dim; ++j) {
        const double off = std::max(extent.high[j] - middle.point[j], middle.point[j] - extent.low[j]);
        reach2 += off * off;
    }
    if (middle.reach2 == 0 || reach2 <= kFar * kFar * middle.reach2) return;
    call.monitor->warn(
        concat("a few values lie so far away that the ranges of SQ reach ",
               size_t(std::min(std::sqrt(reach2 / middle.reach2), 1e18)),
               " times as far as half of the rows, which hardly differ then: leave them out by outliers="));
}

}  // namespace

Scalar::Scalar(size_t bits, bool uniform, double outliers) : bits_(bits), uniform_(uniform), outliers_(outliers) {
    check(bits == 8 || bits == 6 || bits == 4, "SQ has ", bits, " bits, expected 8, 6 or 4");
    check(outliers >= 0 && outliers < 0.5, "SQ has a share of outliers of ", outliers, ", expected 0 to below 0.5");
}

std::string Scalar::repr() const {
    std::string text = concat("SQ(bits=", bits_);
    if (uniform_) text += ", uniform=True";
    if (outliers_ > 0) {
        char share[32];
        std::snprintf(share, sizeof share, "%.12g", outliers_);
        text += concat(", outliers=", share);
    }
    return text + ")";
}

std::string Scalar::factory(std::optional<bool> residual) const {
    check(!uniform_ && outliers_ == 0, "no factory string has a word for ", repr());
    check(residual.value_or(prefers_residuals()) == prefers_residuals(), "no factory string has a word for ", repr(),
          " with residual=", prefers_residuals() ? "False" : "True");
    return concat("SQ", bits_);
}

// Ranges of a dimension come from all rows that are given; those of a share of outliers want them sorted, a dimension
// at a time.
void Scalar::fit(const Rows& rows, const Fit& fit) {
    check(rows.n > 0, "SQ learns ranges from rows, got none");
    constexpr size_t kBlock = 256, kTask = 1024, kMaxDim = 65536;  // sums of products fit 32 bits
    const size_t dim = rows.dim, n = rows.n;
    check(dim <= kMaxDim, "SQ takes at most ", kMaxDim, " dimensions, got ", dim);
    const auto skip = size_t(outliers_ * double(n));
    std::vector<float> sorted(skip > 0 ? n * dim : 0);
    std::vector<Extent> parts((n + kTask - 1) / kTask, Extent(dim));
    parallel_blocks(
        n, kTask, threads_for(fit.call, double(n) * double(dim) * 8), fit.call, [&](size_t from, size_t count) {
            for (size_t first = from; first < from + count; first += kBlock) {
                const FloatBlock block(rows.slice(first, std::min(kBlock, from + count - first)), "the array");
                for (size_t i = 0; i < block.size(); ++i) {
                    parts[from / kTask].add(block.row(i));
                    for (size_t j = 0; j < dim && skip > 0; ++j) sorted[j * n + first + i] = block.row(i)[j];
                }
            }
        });
    Extent all(dim);
    for (const Extent& part : parts) all.add(part);
    std::vector<float>&low = all.low, &high = all.high;
    if (skip > 0)
        parallel_for(dim, threads_for(fit.call, double(sorted.size()) * 10), fit.call, [&](size_t j, int) {
            const auto begin = sorted.begin() + ptrdiff_t(j * n), end = begin + ptrdiff_t(n);
            std::nth_element(begin, begin + ptrdiff_t(skip), end);
            low[j] = begin[ptrdiff_t(skip)];
            std::nth_element(begin, end - 1 - ptrdiff_t(skip), end);
            high[j] = *(end - 1 - ptrdiff_t(skip));
        });
    if (uniform_) {
        std::fill(low.begin(), low.end(), *std::min_element(low.begin(), low.end()));
        std::fill(high.begin(), high.end(), *std::max_element(high.begin(), high.end()));
    }
    warn_of_far(rows, all, fit.call);
    Scalar fitted(bits_, uniform_, outliers_);
    fitted.center_.resize(dim);
    // Within the ranges: outliers lead a mean astray.
    for (size_t j = 0; j < dim; ++j) fitted.center_[j] = std::clamp(float(all.sum[j] / double(n)), low[j], high[j]);
    fitted.set_range(std::move(low), std::move(high));
    take(std::move(fitted));
}

// What another has learned: nothing fails from here on.
void Scalar::take(Scalar&& other) noexcept {
    low_ = std::move(other.low_);
    step_ = std::move(other.step_);
    inverse_ = std::move(other.inverse_);
    center_ = std::move(other.center_);
    mean_code_ = std::move(other.mean_code_);
    heavy_ = std::move(other.heavy_);
    heavy_from_zero_ = std::move(other.heavy_from_zero_);
}

// A dimension that is constant has a step of 0 and codes of 0.
void Scalar::set_range(std::vector<float> low, std::vector<float> high) {
    low_ = std::move(low);
    step_.resize(low_.size());
    for (size_t j = 0; j < low_.size(); ++j) {
        step_[j] = high[j] / most() - low_[j] / most();
        if (!(step_[j] > 0) || !std::isfinite(1 / step_[j])) step_[j] = 0;
    }
    derive();
}

void Scalar::derive() {
    inverse_.clear();
    mean_code_.clear();
    for (size_t j = 0; j < low_.size(); ++j) {
        inverse_.push_back(step_[j] > 0 ? 1 / step_[j] : 0.0f);
        mean_code_.push_back(std::clamp((center_[j] - low_[j]) * inverse_[j], 0.0f, most()));
    }
    heavy_ = heavy(center_);
    heavy_from_zero_ = heavy(std::vector<float>(low_.size()));
}

// Queries lie where rows do: so a dimension's weight, as ScalarQueries has it, is up to its step times its reach.
std::vector<uint32_t> Scalar::heavy(const std::vector<float>& from) const {
    constexpr double kHeavy = 4;
    std::vector<double> weights(low_.size());
    for (size_t j = 0; j < low_.size(); ++j) {
        const double low = double(low_[j]) - from[j], high = low + double(step_[j]) * most();
        weights[j] = step_[j] * std::max(std::abs(low), std::abs(high));
    }
    return wide_dimensions(weights, kHeavy, simd::kMostHeavy);
}

size_t Scalar::nbytes() const {
    const size_t floats = low_.size() + step_.size() + inverse_.size() + center_.size() + mean_code_.size();
    return floats * sizeof(float) + (heavy_.size() + heavy_from_zero_.size()) * sizeof(uint32_t);
}

size_t Scalar::code_bytes() const {
    const size_t dim = low_.size();
    return bits_ == 8 ? padded(dim) : (dim * bits_ + 7) / 8;
}

Codes Scalar::make_codes(size_t, const CodeUse& use) const {
    const bool adds = use.metric != Metric::ip, behind = adds && use.singly;
    Codes codes(behind ? add_at() + sizeof(float) : code_bytes(),
                std::vector<size_t>(adds && !behind ? 2 : 1, sizeof(float)));
    codes.use = use;
    return codes;
}

void Scalar::pack(const uint8_t* wide, std::byte* code) const {
    const size_t dim = low_.size();
    std::memset(code, 0, code_bytes());
    if (bits_ == 8) {
        std::memcpy(code, wide, dim);
        return;
    }
    for (size_t j = 0; j < dim; ++j) {
        const size_t bit = j * bits_;
        const unsigned value = unsigned(wide[j]) << bit % 8;
        code[bit / 8] |= std::byte(value);
        if (value > 255) code[bit / 8 + 1] |= std::byte(value >> 8);
    }
}

void Scalar::unpack(const std::byte* code, uint8_t* wide) const {
    const size_t dim = low_.size();
    const auto* from = reinterpret_cast<const uint8_t*>(code);
    size_t j = 0;
    if (bits_ == 4)
        for (; j + 2 <= dim; j += 2, ++from) wide[j] = *from & 15, wide[j + 1] = *from >> 4;
    if (bits_ == 6) {
        j = dim / 4 * 4;
        simd::kernels().unpack6(from, j, wide);
        from += j / 4 * 3;
    }
    for (unsigned bit = 0; j < dim && bits_ < 8; ++j, bit += unsigned(bits_)) {
        const unsigned low = from[bit / 8], high = bit % 8 + bits_ > 8 ? from[bit / 8 + 1] : 0u;
        wide[j] = uint8_t((low | high << 8) >> bit % 8 & ((1u << bits_) - 1));
    }
    if (bits_ == 8) std::memcpy(wide, from, dim), j = dim;
    std::fill(wide + j, wide + padded(dim), uint8_t(0));
}

void Scalar::encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const {
    const size_t dim = low_.size();
    const simd::Kernels& k = simd::kernels();
    const FloatBlock block(rows, "the array");
    std::vector<float> residual(dim), decoded(dim);
    std::vector<uint8_t> wide(padded(dim));
    for (size_t i = 0; i < rows.n; ++i) {
        const float* x = block.row(i);
        if (centroid != nullptr) {
            std::transform(x, x + dim, centroid, residual.data(), std::minus<>());
            x = residual.data();
        }
        k.encode_u8(x, low_.data(), inverse_.data(), most(), dim, wide.data());
        pack(wide.data(), into.columns[0].row(first + i));
        k.decode_u8(wide.data(), low_.data(), step_.data(), dim, decoded.data());
        *into.columns[kReach].at<float>(first + i) = reach(wide.data());
        if (into.use.metric == Metric::ip) continue;
        const float add = square(decoded.data(), centroid);
        if (into.use.singly) {
            std::byte* end = into.columns[0].row(first + i) + code_bytes();
            std::memset(end, 0, add_at() - code_bytes());
            std::memcpy(end + add_at() - code_bytes(), &add, sizeof add);
        } else {
            *into.columns[kAdd].at<float>(first + i) = add;
        }
    }
}

// Rounded up.
float Scalar::reach(const uint8_t* wide) const {
    float sums[8] = {};
    const size_t dim = low_.size();
    for (size_t j = 0; j < dim; ++j) {
        const float distance = float(wide[j]) - mean_code_[j];
        sums[j % 8] += distance * distance;
    }
    const float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    return std::sqrt(sum) * (1 + (float(dim) + 16) * std::numeric_limits<float>::epsilon());
}

// |x - center|^2, or |x|^2 - |c|^2 of a residual's row x.
float Scalar::square(const float* decoded, const float* centroid) const {
    float sums[8] = {};
    const size_t dim = low_.size();
    const auto add = [&](size_t j) {
        const float r = decoded[j], shifted = centroid != nullptr ? r + 2 * centroid[j] : r - center_[j];
        sums[j % 8] += centroid != nullptr ? r * shifted : shifted * shifted;
    };
    for (size_t j = 0; j < dim; ++j) add(j);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void Scalar::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    std::vector<uint8_t> wide(padded(dim));
    unpack(codes.code(row), wide.data());
    simd::kernels().decode_u8(wide.data(), low_.data(), step_.data(), dim, static_cast<float*>(out));
}

std::unique_ptr<TileQueries> Scalar::tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const {
    return std::make_unique<ScalarQueries>(*this, use, queries, call);
}

std::unique_ptr<WalkScorer> Scalar::walk_scorer(Metric metric, const Codes& codes, size_t dim) const {
    if (bits_ == 6) return Codec::walk_scorer(metric, codes, dim);
    return std::make_unique<ScalarWalk>(*this, metric, codes);
}

void Scalar::save(Writer& out) const {
    out.value("bits", int64_t(bits_));
    out.value("uniform", int64_t(uniform_));
    out.value("outliers", outliers_);
    out.array("low", low_);
    out.array("step", step_);
    out.array("center", center_);
}

std::unique_ptr<Codec> Scalar::load(const Reader& in) {
    const double outliers = in.real("outliers");
    const auto bits = size_t(in.integer("bits", 4, 8));
    check<FormatError>(bits != 5 && bits != 7 && outliers >= 0 && outliers < 0.5, in.file(), ": SQ with ", bits,
                       " bits and a share of outliers of ", outliers);
    auto codec = std::make_unique<Scalar>(bits, in.integer("uniform", 0, 1) != 0, outliers);
    const uint64_t dim = in.rows("low");
    check<FormatError>(dim <= 65536, in.file(), ": SQ of ", dim, " dimensions");
    const auto read = [&](std::string_view name, std::vector<float>& into) {
        const auto values = in.array<float>(name, dim);
        for (float x : values) check<FormatError>(std::isfinite(x), in.file(), ": section ", name, " has ", x);
        into.assign(values.begin(), values.end());
    };
    read("low", codec->low_);
    read("step", codec->step_);
    read("center", codec->center_);
    for (float step : codec->step_)
        check<FormatError>(step == 0 || (step > 0 && std::isfinite(1 / step)), in.file(), ": SQ has a step of ", step);
    codec->derive();
    return codec;
}

}  // namespace annkit
