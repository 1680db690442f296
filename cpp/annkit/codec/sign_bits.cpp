#include "annkit/codec/sign_bits.h"

#include <algorithm>
#include <cmath>

#include "annkit/codec/bits.h"
#include "annkit/codec/raw_queries.h"
#include "annkit/codec/tile_batch.h"
#include "annkit/codec/walk_scorer.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

// A sample's median splits the rows within about 1 / (2 sqrt(sample)) of the middle: 0.4 %.
constexpr size_t kMostSample = 16'384;
constexpr size_t kMaxDim = size_t(1) << 24;

// The middle value, or between the two in the middle, half of them; reorders.
float median_of(std::span<float> values) {
    const auto middle = values.begin() + ptrdiff_t(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 == 1) return *middle;
    return float((double(*std::max_element(values.begin(), middle)) + double(*middle)) / 2);
}

}  // namespace

void SignBits::fit(const Rows& rows, const Fit& fit) {
    if (!median_) return;
    constexpr size_t kColumns = 16;  // a cache line of each row
    check(rows.n > 0, repr(), " got 0 rows to fit, expected at least 1");
    const std::vector<size_t> chosen = sample_of(rows.n, kMostSample, fit.seed);
    std::vector<float> values(chosen.size() * rows.dim), medians(rows.dim);
    const int threads = threads_for(fit.call, double(values.size()) * 16);
    parallel_blocks(chosen.size(), 256, threads, fit.call,
                    [&](size_t first, size_t n) { gather_rows(rows, &chosen[first], n, &values[first * rows.dim]); });
    parallel_blocks(rows.dim, kColumns, threads, fit.call, [&](size_t first, size_t count) {
        std::vector<float> columns(chosen.size() * count);
        for (size_t i = 0; i < chosen.size(); ++i)
            for (size_t j = 0; j < count; ++j) columns[j * chosen.size() + i] = values[i * rows.dim + first + j];
        for (size_t j = 0; j < count; ++j) medians[first + j] = median_of({&columns[j * chosen.size()], chosen.size()});
    });
    medians_ = std::move(medians);
}

template <class CodeOf>
void SignBits::pack(const Rows& rows, std::string_view what, CodeOf&& code_of) const {
    const FloatBlock block(rows, what);
    const std::vector<float> zeros(median_ ? 0 : rows.dim);
    const float* thresholds = median_ ? medians_.data() : zeros.data();
    const auto above = simd::kernels().plane_above;
    for (size_t i = 0; i < rows.n; ++i) above(block.row(i), thresholds, rows.dim, code_of(i));
}

void SignBits::encode(const Rows& rows, const float*, Codes& into, size_t first) const {
    pack(rows, "the array", [&](size_t i) { return into.columns[0].at<uint8_t>(first + i); });
}

void SignBits::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    const std::byte* code = codes.code(row);
    auto* to = static_cast<float*>(out);
    for (size_t j = 0; j < dim; ++j) {
        const bool set = (unsigned(code[j / 8]) >> j % 8 & 1) != 0;
        to[j] = (median_ ? medians_[j] : 0.0f) + (set ? 1.0f : -1.0f);
    }
}

RowScoring SignBits::scoring(size_t dim) const {
    RowScoring scoring = bit_scoring(code_bytes(dim));
    scoring.encode = [this, bytes = code_bytes(dim)](const Rows& queries, uint8_t* codes) {
        pack(queries, "the query", [&](size_t i) { return codes + i * bytes; });
    };
    return scoring;
}

std::unique_ptr<TileQueries> SignBits::tile_queries(const CodeUse&, const Rows& queries, const Call&) const {
    return std::make_unique<RawQueries>(scoring(queries.dim), queries);
}

std::unique_ptr<Scorer> SignBits::scorer(Metric, const Codes& codes, size_t dim) const {
    return std::make_unique<RowScorer>(scoring(dim), codes);
}

std::unique_ptr<WalkScorer> SignBits::walk_scorer(Metric, const Codes& codes, size_t dim) const {
    return std::make_unique<RowWalk>(scoring(dim), codes);
}

std::unique_ptr<BatchScorer> SignBits::batch_scorer(Metric, const Codes& codes, const Rows& queries,
                                                    const Call& call) const {
    if (queries.n < kBitTilesFrom) return nullptr;
    return std::make_unique<TileBatch>(scoring(queries.dim), codes, queries, call.threads);
}

void SignBits::save(Writer& out) const {
    out.value("median", int64_t(median_));
    if (!medians_.empty()) out.array("medians", medians_);
}

std::unique_ptr<Codec> SignBits::load(const Reader& in) {
    auto codec = std::make_unique<SignBits>(in.integer("median", 0, 1) != 0);
    if (!codec->median_ || !in.has("medians")) return codec;
    const size_t dim = in.rows("medians");
    check<FormatError>(dim > 0 && dim <= kMaxDim, in.file(), ": section medians has ", dim, " rows, expected 1 to ",
                       kMaxDim);
    const auto medians = in.array<float>("medians", dim);
    check<FormatError>(std::all_of(medians.begin(), medians.end(), [](float x) { return std::isfinite(x); }), in.file(),
                       ": section medians has NaN or infinite values");
    codec->medians_.assign(medians.begin(), medians.end());
    return codec;
}

}  // namespace annkit
