#include "annkit/transform/itq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/discriminants.h"
#include "annkit/math/linalg.h"
#include "annkit/math/moments.h"
#include "annkit/math/orthonormal.h"
#include "annkit/math/polar.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

constexpr size_t kMostSample = 65'536;

constexpr std::string_view kStarts[] = {"pca", "cca", "lda"};
constexpr size_t kMostIterations = 10'000;
// Rows that are reduced at a time.
constexpr size_t kStep = 144;

// Fewer dimensions: at most as many as there will be bits.
Affine reduction(const Rows& rows, std::span<const size_t> chosen, const Itq::Options& options, const Fit& fit) {
    const auto as_floats = [](const std::vector<double>& values) {
        return std::vector<float>(values.begin(), values.end());
    };
    if (options.start == Itq::Start::pca) {
        const Moments moments = moments_of(rows, chosen, fit.call);
        const SymmetricEigen eigen = symmetric_eigen(moments.covariance, rows.dim, options.bits, fit.call);
        std::vector<float> mean = as_floats(moments.mean);
        const bool folds = Affine::folds_well(mean, moments.variance());
        return {as_floats(eigen.vectors), options.bits, rows.dim, std::move(mean), folds};
    }
    Discriminants found = discriminants_of(rows, chosen, fit.labels, options.bits, fit.call);
    const size_t kept = found.shares.size();
    for (size_t i = 0; i < kept; ++i) {
        const double share = found.shares[i], within = std::max(1 - share, 1e-6);
        const double scale = options.start == Itq::Start::cca ? std::sqrt(share) : 1 / std::sqrt(within);
        for (size_t j = 0; j < rows.dim; ++j) found.directions[i * rows.dim + j] *= scale;
    }
    return {as_floats(found.directions), kept, rows.dim, as_floats(found.mean)};
}

// Rows packed for both products of a round, in blocks.
class Alternation {
  public:
    // rotation: bits x dim with orthonormal columns.
    Alternation(size_t n, size_t dim, std::vector<float> rotation)
        : n_(n),
          dim_(dim),
          bits_(rotation.size() / dim),
          rotation_(std::move(rotation)),
          blocks_((n + kRows - 1) / kRows),
          sums_(allocate(stretches() * rotation_.size() * sizeof(double))) {
        // By one thread: what a thread of its own has freed goes back to the system, which clears it once more.
        for (size_t b = 0; b < blocks(); ++b) blocks_[b] = {{rows_of(b), dim_}, {dim_, rows_of(b)}};
    }

    size_t blocks() const { return blocks_.size(); }
    static size_t first_of(size_t block) { return block * kRows; }
    size_t rows_of(size_t block) const { return std::min(kRows, n_ - first_of(block)); }
    void set(size_t block, const float* rows) {
        auto& [by_rows, by_columns] = blocks_[block];
        for (size_t panel = 0; panel < by_rows.panels(); ++panel) by_rows.pack(panel, rows, dim_);
        for (size_t panel = 0; panel < by_columns.panels(); ++panel) by_columns.pack_transposed(panel, rows, dim_);
    }

    // B = sign(rotation V^T); then the rotation that brings V nearest to B: the polar factor of B V (Procrustes).
    void round(const Call& call) {
        const double norm2 = sum(call), scale = norm2 > 0 ? 1 / std::sqrt(norm2) : 0, *sums = this->sums(0);
        for (size_t i = 0; i < rotation_.size(); ++i)
            rotation_[i] = float(sums[i] * scale + kStay * double(rotation_[i]));
        rotation_ = polar_factor(rotation_, bits_, dim_, {kStay / 2}, call);
    }
    const std::vector<float>& rotation() const { return rotation_; }

  private:
    static constexpr size_t kRows = kOuterRows;  // floats are added for so many rows, then doubles
    static constexpr size_t kBits = 144;         // whose signs stay in the second cache
    // So much of the present rotation is added: directions that hold next to nothing stay as they are.
    static constexpr double kStay = 1e-4;
    struct Block {
        PackedMatrix rows, columns;  // to multiply with rows of dim, and with rows of as many as the block has
    };

    // Stretches of blocks have sums of their own: as many whatever the threads, fewer where the sums are large.
    size_t stretches() const {
        constexpr size_t kLarge = 128 * 128, kHuge = 1024 * 1024, kOfSmall = 32, kOfLarge = 16, kOfHuge = 4;
        const size_t size = rotation_.size();
        return std::min(blocks(), size <= kLarge ? kOfSmall : size <= kHuge ? kOfLarge : kOfHuge);
    }
    double* sums(size_t stretch) const { return reinterpret_cast<double*>(sums_.get()) + stretch * rotation_.size(); }

    // B V to sums(0); returns the sum of its squares.
    double sum(const Call& call) {
        const size_t size = rotation_.size(), of_bits = (bits_ + kBits - 1) / kBits;
        const int threads = threads_for(call, 2 * double(n_) * double(size));
        parallel_apart(stretches() * of_bits, threads, call, [&](size_t task, int) {
            const size_t s = task / of_bits, bit = task % of_bits * kBits, bits = std::min(kBits, bits_ - bit);
            std::fill_n(sums(s) + bit * dim_, bits * dim_, 0.0);
            for (size_t b = s * blocks() / stretches(); b < (s + 1) * blocks() / stretches(); ++b)
                correlate(b, bit, bits, sums(s) + bit * dim_);
        });
        constexpr size_t kNumbers = 1024;
        constexpr double kOfMemory = 16;  // a number that another thread wrote takes as long as so many multiply-adds
        std::vector<double> squares((size + kNumbers - 1) / kNumbers);
        const int adders = threads_for(call, kOfMemory * double(stretches() * size));
        parallel_blocks(size, kNumbers, adders, call, [&](size_t first, size_t count) {
            double* out = sums(0);
            for (size_t s = 1; s < stretches(); ++s)
                for (size_t i = first; i < first + count; ++i) out[i] += sums(s)[i];
            for (size_t i = first; i < first + count; ++i) squares[first / kNumbers] += out[i] * out[i];
        });
        return std::accumulate(squares.begin(), squares.end(), 0.0);
    }

    // Adds that of a block for some of the bits.
    void correlate(size_t block, size_t bit, size_t bits, double* out) const {
        const auto& [rows, columns] = blocks_[block];
        const size_t n = rows_of(block), stride = padded_stride(n);
        std::vector<float> signs(bits * stride), part(bits * dim_);
        rows.multiply(&rotation_[bit * dim_], dim_, bits, signs.data(), stride);
        for (float& value : signs) value = value > 0 ? 1.0f : -1.0f;
        columns.multiply(signs.data(), stride, bits, part.data(), dim_);
        for (size_t i = 0; i < part.size(); ++i) out[i] += double(part[i]);
    }

    size_t n_, dim_, bits_;
    std::vector<float> rotation_;
    std::vector<Block> blocks_;
    Buffer sums_;
};

}  // namespace

Itq::Itq(const Options& options) : options_(options) {
    check(options.bits > 0 && options.bits <= kMaxTransformDim, "bits is ", options.bits, ", expected 1 to ",
          kMaxTransformDim);
    check(options.iterations <= kMostIterations, "iterations is ", options.iterations, ", expected at most ",
          kMostIterations);
}

Itq::Start Itq::start_from(std::string_view name) {
    const auto* at = std::find(std::begin(kStarts), std::end(kStarts), name);
    check(at != std::end(kStarts), "start is \"", name, "\", expected one of \"pca\", \"cca\", \"lda\"");
    return Start(at - std::begin(kStarts));
}

std::string Itq::repr() const {
    const Options plain;
    std::string out = concat("ITQ(", options_.bits);
    if (options_.iterations != plain.iterations) out += concat(", iterations=", options_.iterations);
    if (options_.start != plain.start) out += concat(", start=\"", kStarts[size_t(options_.start)], "\"");
    return out + ")";
}

std::string Itq::factory(std::string_view) const {
    const Options plain;
    check(options_.iterations == plain.iterations && options_.start == plain.start, "no factory string has a word for ",
          repr());
    return concat("ITQ", options_.bits);
}

void Itq::fit(const Rows& rows, const Fit& fit) {
    const size_t bits = options_.bits;
    const bool supervised = options_.start != Start::pca;
    check_fit(*this, rows, supervised ? 2 : std::max<size_t>(2, std::min(bits, rows.dim)));
    if (!supervised && bits > rows.dim) fail(repr(), " got rows of dimension ", rows.dim, ", expected at least ", bits);
    if (supervised && fit.labels.empty()) fail(repr(), " learns from classes: call fit(x, labels=...)");
    check(fit.labels.empty() || fit.labels.size() == rows.n, "got ", fit.labels.size(), " labels for ", rows.n,
          " rows, expected one a row");
    const auto chosen = sample_of(rows.n, kMostSample, fit.seed);
    const Affine reduced = reduction(rows, chosen, options_, fit);
    const size_t n = chosen.size(), dim = reduced.outputs();

    std::vector<float> start(bits * dim);  // orthonormal columns
    const std::vector<float> drawn = random_orthonormal(dim, bits, fit.seed, fit.call);
    for (size_t i = 0; i < dim; ++i)
        for (size_t j = 0; j < bits; ++j) start[j * dim + i] = drawn[i * bits + j];
    Alternation alternation(n, dim, std::move(start));
    parallel_apart(alternation.blocks(), threads_for(fit.call, double(n) * double(dim) * double(rows.dim)), fit.call,
                   [&](size_t block, int) {
                       const size_t first = Alternation::first_of(block), count = alternation.rows_of(block);
                       std::vector<float> there(count * dim), some(kStep * rows.dim);
                       for (size_t i = 0; i < count; i += kStep) {
                           const size_t here = std::min(kStep, count - i);
                           gather_rows(rows, &chosen[first + i], here, some.data());
                           reduced.apply(Rows::of(some.data(), here, rows.dim), &there[i * dim]);
                       }
                       alternation.set(block, there.data());
                   });
    for (size_t i = 0; i < options_.iterations; ++i) alternation.round(fit.call);

    std::vector<float> matrix(bits * rows.dim);
    multiply(alternation.rotation().data(), bits, dim,
             PackedMatrix::of_transposed(reduced.matrix().data(), dim, rows.dim), matrix.data(), fit.call);
    map_ = Affine(std::move(matrix), bits, rows.dim, reduced.mean(), reduced.folds());
}

void Itq::invert(const float* in, size_t n, float* out) const {
    if (!is_invertible()) fail(repr(), " cannot be inverted");
    map_.invert(in, n, out);
}

void Itq::save(Writer& out) const {
    out.value("bits", options_.bits);
    out.value("iterations", options_.iterations);
    out.value("start", kStarts[size_t(options_.start)]);
    out.value("dim_in", dim_in());
    if (is_fitted()) map_.save(out);
}

std::unique_ptr<Transform> Itq::load(const Reader& in) {
    const auto bits = size_t(in.integer("bits", 1, int64_t(kMaxTransformDim)));
    const auto iterations = size_t(in.integer("iterations", 0, int64_t(kMostIterations)));
    const std::string start = in.text("start", 8);
    check<FormatError>(std::find(std::begin(kStarts), std::end(kStarts), start) != std::end(kStarts), in.file(),
                       ": start is ", start);
    auto part = std::make_unique<Itq>(Options{bits, iterations, start_from(start)});
    const auto dim_in = size_t(in.integer("dim_in", 0, int64_t(kMaxTransformDim)));
    if (dim_in > 0) part->map_ = Affine::load(in, bits, dim_in);
    return part;
}

}  // namespace annkit
