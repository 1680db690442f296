#include "annkit/codec/rabitq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "annkit/codec/rabitq_queries.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/middle.h"

namespace annkit {
namespace {

// Lengths up to here keep every product of the estimates far inside float32.
constexpr double kLongest = 1e18;
// A larger dimension would leave no room for tables of bytes whose sums have to stay below 2^16.
constexpr size_t kMaxDim = 1 << 16;

// How many standard deviations of the signs' error the bound leaves room for. An error is a row's own residue times the
// cosine between that and the query, and the cosine of a random direction with any other has a deviation of
// 1 / sqrt(dim) and lighter tails than a normal variable. The papers take 1.9. On SIFT, Fashion-MNIST, word vectors and
// normal rows, 1.9 dismisses up to 1 % of the nearest by all bits, 2.6 about 0.1 %; the rows whose other bits are read
// become twice as many.
constexpr double kErrorDeviations = 2.6;

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// Rows of the mean's sums: blocks of this many are summed alone, and the blocks in order.
constexpr size_t kMeanBlock = 1024;

struct Sum {
    std::vector<double> values;
    size_t n = 0;
};

// Of rows that lie within so much of the middle.
Sum sum_of(const FloatBlock& rows, size_t dim, const std::vector<float>& middle, double most2) {
    Sum sum{std::vector<double>(dim)};
    for (size_t i = 0; i < rows.size(); ++i) {
        const float* x = rows.row(i);
        double away2 = 0;
        for (size_t j = 0; j < dim && most2 < kInfinite; ++j)
            away2 += (double(x[j]) - middle[j]) * (double(x[j]) - middle[j]);
        if (away2 > most2) continue;
        for (size_t j = 0; j < dim; ++j) sum.values[j] += x[j];
        ++sum.n;
    }
    return sum;
}

// Rows a thousand times as far away as half of them do not count where they would lead the mean astray.
Sum sum_near(const FloatBlock& rows, size_t dim, const Middle& middle) {
    constexpr double kFar = 1000;
    Sum sum = sum_of(rows, dim, middle.point, kInfinite);
    double away2 = 0;
    for (size_t j = 0; j < dim; ++j) away2 += std::pow(sum.values[j] / double(sum.n) - middle.point[j], 2);
    const bool astray = middle.reach2 > 0 && away2 > middle.reach2;
    return astray ? sum_of(rows, dim, middle.point, kFar * kFar * middle.reach2) : sum;
}

}  // namespace

RaBitQ::RaBitQ(size_t bits) : bits_(bits) {
    check(bits >= 1 && bits <= kMaxRabitqBits, "RaBitQ has bits ", bits, ", expected 1 to ", kMaxRabitqBits);
}
std::string RaBitQ::repr() const { return bits_ == 1 ? "RaBitQ()" : concat("RaBitQ(bits=", bits_, ")"); }

std::string RaBitQ::factory(std::optional<bool> residual) const {
    check(residual.value_or(true), "no factory string has a word for ", repr(), " with residual=False");
    return bits_ == 1 ? "RaBitQ" : concat("RaBitQ", bits_);
}

void RaBitQ::learn(std::vector<float> mean, uint64_t seed) {
    rotation_ = RandomRotation((mean.size() + 7) / 8 * 8, seed);
    mean_ = std::move(mean);
    seed_ = seed;
}

void RaBitQ::fit(const Rows& rows, const Fit& fit) {
    check<TypeError>(accepts(rows.dtype), "RaBitQ got ", name(rows.dtype), ", expected ", expects());
    check(rows.n > 0, "RaBitQ.fit got 0 rows, expected at least one");
    check(rows.dim >= 1 && rows.dim <= kMaxDim, "RaBitQ got rows of dim ", rows.dim, ", expected 1 to ", kMaxDim);
    const size_t blocks = (rows.n + kMeanBlock - 1) / kMeanBlock;
    const Middle middle = middle_of(rows);
    std::vector<Sum> sums(blocks);
    const int threads = threads_for(fit.call, double(rows.n) * double(rows.dim));
    parallel_for(blocks, threads, fit.call, [&](size_t b, int) {
        const size_t first = b * kMeanBlock;
        const FloatBlock block(rows.slice(first, std::min(kMeanBlock, rows.n - first)), "the array");
        sums[b] = sum_near(block, rows.dim, middle);
    });
    size_t n = 0;
    for (const Sum& block : sums) n += block.n;
    std::vector<float> mean(middle.point);
    for (size_t j = 0; j < rows.dim && n > 0; ++j) {
        double sum = 0;
        for (const Sum& block : sums) sum += block.values[j];
        mean[j] = float(sum / double(n));
    }
    learn(std::move(mean), fit.seed);
}

void RaBitQ::save(Writer& out) const {
    out.value("bits", bits_);
    out.array("seed", std::vector<uint64_t>{seed_});
    out.array("mean", mean_);
}

std::unique_ptr<Codec> RaBitQ::load(const Reader& in) {
    auto codec = std::make_unique<RaBitQ>(size_t(in.integer("bits", 1, kMaxRabitqBits)));
    const uint64_t seed = in.array<uint64_t>("seed", 1)[0], dim = in.rows("mean");
    check<FormatError>(dim <= kMaxDim, in.file(), ": section mean has ", dim, " rows, expected at most ", kMaxDim);
    std::vector<float> mean(dim);
    in.read_into("mean", std::span(mean));
    for (float value : mean)
        check<FormatError>(std::isfinite(value), in.file(), ": section mean has a value that is not finite");
    if (dim > 0) codec->learn(std::move(mean), seed);
    return codec;
}

void RaBitQ::check_fitted(size_t dim, std::string_view what) const {
    check<NotFittedError>(is_fitted(), "RaBitQ is not fitted: call fit first");
    check(dim == mean_.size(), what, " has dim ", dim, ", RaBitQ expects ", mean_.size());
}

double RaBitQ::rotate(const float* x, const float* centre, float* out, std::string_view what, size_t row) const {
    const size_t dim = mean_.size();
    double norm2 = 0;
    for (size_t j = 0; j < dim; ++j) {
        out[j] = x[j] - centre[j];
        norm2 += double(out[j]) * out[j];
    }
    check(norm2 <= kLongest * kLongest, what, " ", row, " lies ", std::sqrt(norm2),
          " from its center, RaBitQ takes up to ", kLongest);
    std::fill(out + dim, out + padded(), 0.0f);
    rotation_.apply(out);
    return norm2;
}

Codes RaBitQ::make_codes(size_t dim, const CodeUse& use) const {
    check_fitted(dim, "the array");
    check(use.metric != Metric::cosine && supports(use.metric), "RaBitQ has no codes for metric \"", name(use.metric),
          "\", expected \"l2\" or \"ip\"");
    std::vector<size_t> sides = {sizeof(float), sizeof(float)};
    if (bits_ > 1) {
        sides.push_back(sizeof(float));
        sides.push_back(planes_at(use) + (bits_ - 1) * plane_bytes());
    }
    Codes codes(plane_bytes(), sides, true);
    codes.use = use;
    return codes;
}

namespace {

template <class T>
std::byte* append(std::byte* to, const T& value) {
    std::memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

}  // namespace

// Rows of one encode call: what they share, and memory for one of them.
struct RaBitQ::Encoder {
    Encoder(const RaBitQ& codec, const float* centroid, size_t first_row)
        : codec(codec),
          center(centroid != nullptr ? centroid : codec.mean_.data()),
          coder(codec.bits_, codec.padded()),
          r(codec.padded()),
          levels(codec.padded()),
          signs(codec.plane_bytes()) {
        if (centroid == nullptr) return;
        c.resize(codec.padded());
        codec.rotate(centroid, codec.mean_.data(), c.data(), "the centroid of row", first_row);
    }

    void encode(const float* x, size_t row, Codes& into, size_t place);

  private:
    // <u, P(c - m)> of the signs and of all bits.
    double sign_dot() const {
        return dot_with([&](uint8_t level) { return level > codec.middle() ? 0.5 : -0.5; });
    }
    double level_dot() const {
        return dot_with([&](uint8_t level) { return level - double(codec.middle()); });
    }
    template <class U>
    double dot_with(const U& u) const {
        double sum = 0;
        for (size_t j = 0; j < c.size(); ++j) sum += u(levels[j]) * double(c[j]);
        return sum;
    }

    const RaBitQ& codec;
    const float* center;
    RabitqCoder coder;
    std::vector<float> c, r;  // rotated; c is empty where the center is the mean
    std::vector<uint8_t> levels, signs;
};

void RaBitQ::Encoder::encode(const float* x, size_t row, Codes& into, size_t place) {
    const size_t top = codec.bits_ - 1, padded = codec.padded();
    const bool ip = into.use.metric == Metric::ip;
    double own = codec.rotate(x, center, r.data(), "row", row);  // the summand without the code
    const RabitqFactors factors = coder.code(r.data(), levels.data());
    pack_plane(levels.data(), padded, top, signs.data());
    into.put(place, reinterpret_cast<const std::byte*>(signs.data()));
    if (ip) {
        own = 0;
        for (size_t j = 0; j < codec.mean_.size(); ++j) own -= (double(x[j]) - center[j]) * center[j];
    }
    const double weight = ip ? 1 : 2;
    const auto add_of = [&](float factor, double code_dot) { return float(own + weight * double(factor) * code_dot); };
    *into.columns[kMul].at<float>(place) = factors.sign_rescale;
    *into.columns[kAdd].at<float>(place) = add_of(factors.sign_rescale, sign_dot());
    if (codec.bits_ == 1) return;
    const double deviation = 1 / std::sqrt(double(padded - 1));
    // Never below a part of the factor: then the error's lane can hold the rounding of the tables too.
    *into.columns[kErr].at<float>(place) =
        std::max(float(kErrorDeviations * deviation * factors.sign_error), factors.sign_rescale / kFactorParts);
    std::byte* rest = append(into.columns[kRest].row(place), factors.rescale);
    if (into.use.residual) rest = append(rest, add_of(factors.rescale, level_dot()));
    for (size_t p = 0; p < top; ++p)
        pack_plane(levels.data(), padded, p, reinterpret_cast<uint8_t*>(rest) + p * codec.plane_bytes());
}

void RaBitQ::encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const {
    check_fitted(rows.dim, "the array");
    const FloatBlock block(rows, "the array");
    Encoder encoder(*this, centroid, rows.first);
    for (size_t i = 0; i < rows.n; ++i) encoder.encode(block.row(i), rows.first + i, into, first + i);
}

void RaBitQ::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    check_fitted(dim, "the row");
    std::vector<uint8_t> levels(padded()), signs(plane_bytes());
    codes.get(row, reinterpret_cast<std::byte*>(signs.data()));
    unpack_plane(signs.data(), padded(), bits_ - 1, levels.data());
    float factor = *codes.columns[kMul].at<float>(row);
    if (bits_ > 1) {
        const std::byte* rest = codes.columns[kRest].row(row);
        std::memcpy(&factor, rest, sizeof factor);
        const auto* planes = reinterpret_cast<const uint8_t*>(rest + planes_at(codes.use));
        for (size_t p = 0; p + 1 < bits_; ++p) unpack_plane(planes + p * plane_bytes(), padded(), p, levels.data());
    }
    std::vector<float> r(padded());
    const float scale = factor * rabitq_shrink(bits_);
    for (size_t j = 0; j < padded(); ++j) r[j] = scale * (float(levels[j]) - middle());
    rotation_.invert(r.data());
    for (size_t j = 0; j < dim; ++j) static_cast<float*>(out)[j] = codes.use.residual ? r[j] : r[j] + mean_[j];
}

std::unique_ptr<TileQueries> RaBitQ::tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const {
    check_fitted(queries.dim, "the queries");
    return std::make_unique<RabitqQueries>(*this, use, queries, call);
}

}  // namespace annkit
