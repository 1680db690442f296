#include "annkit/codec/product.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "annkit/codec/table_queries.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 256;  // rows that are coded together
constexpr size_t kMostGroups = 65536;
constexpr size_t kMostDim = size_t(1) << 24;  // as many as an index takes

// The rows that are trained on, as floats.
Buffer training_rows(const Rows& rows, const std::vector<uint32_t>& chosen, const Call& call) {
    Buffer out = allocate(chosen.size() * rows.dim * sizeof(float));
    auto* x = reinterpret_cast<float*>(out.get());
    constexpr double kOfMemory = 16;  // a number takes as long as so many multiply-adds
    const double work = kOfMemory * double(chosen.size()) * double(rows.dim);
    parallel_blocks(chosen.size(), kBlock, threads_for(call, work), call, [&](size_t first, size_t n) {
        for (size_t i = first, last = first + n; i < last;) {
            size_t together = 1;  // rows that follow each other
            while (i + together < last && chosen[i + together] == chosen[i] + together) ++together;
            const FloatBlock block(rows.slice(chosen[i], together), "the array");
            for (size_t r = 0; r < together; ++r, ++i) std::copy_n(block.row(r), rows.dim, x + i * rows.dim);
        }
    });
    return out;
}

// |c + r|^2 - |c|^2
float square_beside(const float* r, const float* c, size_t dim) {
    float sums[4] = {};
    size_t j = 0;
    for (; j + 4 <= dim; j += 4)
        for (size_t t = 0; t < 4; ++t) sums[t] += r[j + t] * (r[j + t] + 2 * c[j + t]);
    for (; j < dim; ++j) sums[0] += r[j] * (r[j] + 2 * c[j]);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

float largest_norm(const ProductQuantizer& pq) {
    const std::vector<float> codebooks = pq.codebooks();
    const float* centroid = codebooks.data();
    double sum = 0;
    for (size_t g = 0; g < pq.m(); ++g) {
        double most = 0;
        for (size_t c = 0; c < pq.entries(); ++c, centroid += pq.group()) {
            double norm = 0;
            for (size_t j = 0; j < pq.group(); ++j) norm += double(centroid[j]) * centroid[j];
            most = std::max(most, norm);
        }
        sum += most;
    }
    return float(std::sqrt(sum));
}

}  // namespace

Product::Product(size_t m, size_t bits, std::optional<uint64_t> seed) : quantizer_(m, bits), seed_(seed) {
    check(m <= kMostGroups, "PQ has m = ", m, ", expected at most ", kMostGroups);
}

std::string Product::repr() const {
    std::string text = concat("PQ(", quantizer_.m());
    if (quantizer_.bits() != 8) text += concat(", bits=", quantizer_.bits());
    if (seed_) text += concat(", seed=", *seed_);
    return text + ")";
}

// Faiss's "fs" is of 4 bits in blocks, of rows as they are; with "r" of residuals. Other codes in lists are of
// residuals.
std::string Product::factory(std::optional<bool> residual) const {
    check(!seed_, "no factory string has a word for ", repr());
    if (in_blocks()) return concat("PQ", quantizer_.m(), residual.value_or(false) ? "x4fsr" : "x4fs");
    check(residual.value_or(true), "no factory string has a word for ", repr(), " with residual=False");
    return quantizer_.bits() == 8 ? concat("PQ", quantizer_.m()) : concat("PQ", quantizer_.m(), "x", quantizer_.bits());
}

void Product::fit(const Rows& rows, const Fit& fit) {
    quantizer_.check_trainable(rows.n, rows.dim);
    warn_of_few(rows.n, quantizer_.entries(), " a group of PQ", fit.call);
    Fit own = fit;
    own.seed = seed_.value_or(fit.seed);
    const std::vector<uint32_t> chosen = quantizer_.sample(rows.n, rows.dim, own.seed);
    Phase reading(fit.call.monitor, 0, 0.05), training(fit.call.monitor, 0.05, 1);
    const Buffer x = training_rows(rows, chosen, {fit.call.threads, reading.monitor()});
    own.call.monitor = training.monitor();
    ProductQuantizer fresh(quantizer_.m(), quantizer_.bits());
    fresh.train(reinterpret_cast<const float*>(x.get()), chosen.size(), rows.dim, ProductQuantizer::kRounds, {}, own);
    reach_ = largest_norm(fresh);
    quantizer_ = std::move(fresh);
}

Codes Product::make_codes(size_t, const CodeUse& use) const {
    const bool add = use.residual && use.metric != Metric::ip;
    return Codes(code_bytes(), std::vector<size_t>(add ? 1 : 0, sizeof(float)), in_blocks());
}

// Least significant bit first, as Faiss does.
void Product::pack(const uint16_t* numbers, std::byte* code) const {
    uint32_t held = 0;
    size_t bits = 0;
    for (size_t g = 0; g < quantizer_.m(); ++g) {
        held |= uint32_t(numbers[g]) << bits;
        for (bits += quantizer_.bits(); bits >= 8; bits -= 8, held >>= 8) *code++ = std::byte(held & 255);
    }
    if (bits > 0) *code = std::byte(held);
}

void Product::unpack(const std::byte* code, uint16_t* numbers) const {
    uint32_t held = 0;
    size_t bits = 0;
    for (size_t g = 0; g < quantizer_.m(); ++g) {
        for (; bits < quantizer_.bits(); bits += 8) held |= uint32_t(*code++) << bits;
        numbers[g] = uint16_t(held & (quantizer_.entries() - 1));
        held >>= quantizer_.bits();
        bits -= quantizer_.bits();
    }
}

void Product::encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const {
    const size_t dim = quantizer_.dim(), m = quantizer_.m(), most = std::min(kBlock, rows.n);
    const bool add = into.columns.size() > TableQueries::kAdd, by_row = add || !in_blocks();
    std::vector<float> residuals(centroid != nullptr ? most * dim : 0);
    std::vector<uint16_t> numbers(by_row ? most * m : 0);
    std::vector<std::byte> code(code_bytes());
    for (size_t at = 0; at < rows.n; at += kBlock) {
        const size_t n = std::min(kBlock, rows.n - at);
        const FloatBlock block(rows.slice(at, n), "the array");
        for (size_t i = 0; centroid != nullptr && i < n; ++i) {
            const float* from = block.row(i);
            for (size_t j = 0; j < dim; ++j) residuals[i * dim + j] = from[j] - centroid[j];
        }
        const float* x = centroid != nullptr ? residuals.data() : block.row(0);
        const size_t stride = centroid != nullptr || n == 1 ? dim : block.stride();
        quantizer_.encode(x, stride, n, [&](size_t g, size_t from, std::span<const uint32_t> some) {
            if (in_blocks()) into.put_nibbles(first + at + from, g, some);
            for (size_t i = 0; by_row && i < some.size(); ++i) numbers[(from + i) * m + g] = uint16_t(some[i]);
        });
        for (size_t i = 0; !in_blocks() && i < n; ++i) {
            pack(&numbers[i * m], code.data());
            into.put(first + at + i, code.data());
        }
        if (!add) continue;
        quantizer_.decode(numbers.data(), n, residuals.data());
        for (size_t i = 0; i < n; ++i)
            *into.columns[TableQueries::kAdd].at<float>(first + at + i) =
                square_beside(&residuals[i * dim], centroid, dim);
    }
}

void Product::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    decode_rows(codes, row, 1, dim, out);
}

void Product::decode_rows(const Codes& codes, size_t first, size_t n, size_t dim, void* out) const {
    const size_t m = quantizer_.m();
    std::vector<std::byte> code(code_bytes());
    std::vector<uint16_t> numbers(std::min(kBlock, n) * m);
    for (size_t at = 0; at < n; at += kBlock) {
        const size_t count = std::min(kBlock, n - at);
        for (size_t i = 0; i < count; ++i) {
            codes.get(first + at + i, code.data());
            unpack(code.data(), &numbers[i * m]);
        }
        quantizer_.decode(numbers.data(), count, static_cast<float*>(out) + at * dim);
    }
}

size_t Product::table_bytes(size_t) const { return TableQueries::table_bytes(quantizer_.m(), quantizer_.bits()); }

std::unique_ptr<TileQueries> Product::tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const {
    const bool l2 = use.metric != Metric::ip;
    const auto fill = [this, squares = l2 && !use.residual, times = l2 ? -2.0f : -1.0f](const float* q, float* out) {
        quantizer_.tables(q, squares, times, out);
    };
    return std::make_unique<TableQueries>(CodeGroups{quantizer_.m(), quantizer_.bits(), quantizer_.dim(), in_blocks(),
                                                     quantizer_.has_far_centroids(), reach_, fill},
                                          use, queries, call);
}

void Product::save(Writer& out) const {
    out.value("m", quantizer_.m());
    out.value("bits", quantizer_.bits());
    if (seed_) out.array("seed", std::vector<uint64_t>{*seed_});
    if (!is_fitted()) return;
    out.value("dim", quantizer_.dim());
    out.array("codebooks", quantizer_.codebooks(), quantizer_.group());
}

// Centroids are means of rows, whose squares add up to a quarter of the largest float at most.
std::unique_ptr<Codec> Product::load(const Reader& in) {
    const auto m = size_t(in.integer("m", 1, kMostGroups));
    const auto bits = size_t(in.integer("bits", ProductQuantizer::kLeastBits, ProductQuantizer::kMostBits));
    std::optional<uint64_t> seed;
    if (in.has("seed")) seed = in.array<uint64_t>("seed", 1)[0];
    auto codec = std::make_unique<Product>(m, bits, seed);
    if (!in.has("dim")) return codec;
    const auto dim = size_t(in.integer("dim", 1, kMostDim));
    check<FormatError>(dim % m == 0, in.file(), ": PQ has m = ", m, " groups, which do not divide the dimension ", dim);
    const size_t rows = m << bits, group = dim / m;
    const auto values = in.array<float>("codebooks", rows, group);
    for (size_t c = 0; c < rows; ++c) {
        double norm = 0;
        for (size_t j = 0; j < group; ++j) norm += double(values[c * group + j]) * values[c * group + j];
        check<FormatError>(norm <= FLT_MAX * 0.26, in.file(), ": PQ has a centroid with a squared norm of ", norm);
    }
    codec->quantizer_ = ProductQuantizer(m, bits, dim, values);
    codec->reach_ = largest_norm(codec->quantizer_);
    return codec;
}

}  // namespace annkit
