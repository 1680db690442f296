#include "annkit/transform/affine.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

void check_finite(std::span<const float> values, std::string_view what) {
    const bool finite = std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
    check(finite, what, " has NaN or infinite values, expected finite ones");
}

}  // namespace

Affine::Affine(std::vector<float> matrix, size_t outputs, size_t inputs, std::vector<float> mean, bool folds)
    : matrix_(std::make_shared<const std::vector<float>>(std::move(matrix))), mean_(std::move(mean)) {
    check(outputs > 0 && matrix_->size() == outputs * inputs, "got ", matrix_->size(), " values for a matrix of ",
          outputs, " x ", inputs);
    check(mean_.empty() || mean_.size() == inputs, "the mean has ", mean_.size(), " values, expected ", inputs);
    check_finite(*matrix_, "the matrix");
    check_finite(mean_, "the mean");
    packed_ = PackedMatrix::of(matrix_->data(), outputs, inputs);
    if (!folds || mean_.empty()) return;
    start_.resize((outputs + PackedMatrix::kOutputs - 1) / PackedMatrix::kOutputs * PackedMatrix::kOutputs);
    for (size_t i = 0; i < outputs; ++i) {
        const float* row = &(*matrix_)[i * inputs];
        start_[i] = float(-std::inner_product(row, row + inputs, mean_.begin(), 0.0));
    }
    check_finite(start_, "the mean's product with the matrix");
}

bool Affine::folds_well(std::span<const float> mean, double variance) {
    constexpr double kMost = 16;
    return std::inner_product(mean.begin(), mean.end(), mean.begin(), 0.0) <= kMost * variance;
}

void Affine::apply(const Rows& in, float* out) const {
    // Rows that are centered lie aside, few at a time: there, in the first cache, they meet a matrix that stays in the
    // second. A larger one has to meet more.
    constexpr size_t kCached = size_t(512) << 10, kBlock = 144;
    const bool centers = !mean_.empty() && !folds();
    const size_t ahead = packed_.rows_ahead();
    const size_t block = centers && packed_.nbytes() <= kCached ? std::min(ahead, kBlock) : kBlock;
    const size_t stride = padded_stride(inputs());
    const auto coming = [&in, fetched = FloatView::in_place(in)](size_t row) {
        return fetched ? reinterpret_cast<const float*>(in.row(row)) : nullptr;
    };
    const auto centered = std::make_unique_for_overwrite<float[]>(centers ? std::min(in.n, block) * stride : 0);
    for (size_t first = 0; first < in.n; first += block) {
        const Rows part = in.slice(first, std::min(block, in.n - first));
        const FloatView rows(part);
        float* to = out + first * outputs();
        if (centers) {
            check_squares(simd::kernels().center(rows.row(0), rows.stride(), part.n, mean_.data(), inputs(),
                                                 centered.get(), stride),
                          part, "the array");
            packed_.multiply(centered.get(), stride, part.n, to, outputs(), nullptr, coming(first + ahead));
        } else {
            packed_.multiply(rows.row(0), rows.stride(), part.n, to, outputs(), folds() ? start_.data() : nullptr,
                             coming(first + ahead));
            // What is not finite shows in the outputs, which are fewer.
            check_squares(simd::kernels().center(to, outputs(), part.n, nullptr, outputs(), nullptr, 0), part,
                          "the array");
        }
    }
}

void Affine::invert(const float* in, size_t n, float* out) const {
    std::vector<float> back(*matrix_);
    for (size_t row = 0; row < outputs(); ++row) {
        float* values = &back[row * inputs()];
        double norm2 = 0;
        for (size_t j = 0; j < inputs(); ++j) norm2 += double(values[j]) * double(values[j]);
        for (size_t j = 0; j < inputs(); ++j) values[j] = norm2 > 0 ? float(double(values[j]) / norm2) : 0;
    }
    PackedMatrix::of_transposed(back.data(), outputs(), inputs()).multiply(in, outputs(), n, out, inputs());
    for (size_t i = 0; i < n && !mean_.empty(); ++i)
        for (size_t j = 0; j < inputs(); ++j) out[i * inputs() + j] += mean_[j];
}

void Affine::save(Writer& out) const {
    out.array("matrix", *matrix_, inputs());
    if (!mean_.empty()) out.array("mean", mean_);
    if (folds()) out.value("folds", int64_t(1));
}

Affine Affine::load(const Reader& in, size_t outputs, size_t inputs) {
    const auto matrix = in.array<float>("matrix", outputs, inputs);
    std::vector<float> mean;
    if (in.has("mean")) {
        const auto stored = in.array<float>("mean", inputs);
        mean.assign(stored.begin(), stored.end());
    }
    try {
        const bool folds = in.has("folds") && in.integer("folds", 0, 1) != 0;
        return {{matrix.begin(), matrix.end()}, outputs, inputs, std::move(mean), folds};
    } catch (const ValueError& error) {
        fail<FormatError>(in.file(), ": ", error.what());
    }
}

}  // namespace annkit
