#include "annkit/codec/sign_bits.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "annkit/codec/bits.h"
#include "annkit/codec/raw_queries.h"
#include "annkit/codec/sign_sums.h"
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

// A query is compared with rows by tables, a row with others by Hamming distance, which ranks them the same.
class SignWalk final : public WalkScorer {
  public:
    SignWalk(const Codec& codec, Metric metric, const Codes& codes, size_t dim)
        : asymmetric_(codec, metric, codes, dim), of_bits_(bit_scoring(codes.code_bytes()), codes) {}
    void query(const Rows& one) override { asymmetric_.query(one), now_ = &asymmetric_; }
    void query_row(uint32_t row) override { of_bits_.query_row(row), now_ = &of_bits_; }
    void score_codes(const uint32_t* rows, const void* const* codes, size_t n, float* out) const override {
        now_->score_codes(rows, codes, n, out);
    }
    bool canonical() const override { return true; }
    std::span<const WalkColumn> columns() const override { return of_bits_.columns(); }

  private:
    CanonicalWalk asymmetric_;
    RowWalk of_bits_;
    WalkScorer* now_ = nullptr;
};

}  // namespace

std::string SignBits::repr() const {
    const std::string_view threshold = median_ ? "threshold=\"median\"" : "";
    return concat("SignBits(", threshold, median_ && asymmetric_ ? ", " : "", asymmetric_ ? "asymmetric=True" : "",
                  ")");
}

// Faiss's, and an "a" for what it has not.
std::string SignBits::factory(std::optional<bool>) const {
    return concat("LSH", median_ ? "t" : "", asymmetric_ ? "a" : "");
}

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

void SignBits::pack(const Rows& rows, std::string_view what, uint8_t* codes) const {
    const FloatView floats(rows);
    const std::vector<float> zeros(median_ ? 0 : rows.dim);
    const float* thresholds = median_ ? medians_.data() : zeros.data();
    check_squares(simd::kernels().planes_above(floats.row(0), floats.stride(), rows.n, thresholds, rows.dim, codes),
                  rows, what);
}

void SignBits::encode(const Rows& rows, const float*, Codes& into, size_t first) const {
    if (into.block == 1) {
        for (size_t at = 0; at < rows.n;) {
            const size_t count = std::min(rows.n - at, into.run(first + at));
            pack(rows.slice(at, count), "the array", into.columns[0].at<uint8_t>(first + at));
            at += count;
        }
        return;
    }
    const size_t bytes = into.code_bytes();
    std::vector<uint8_t> codes(rows.n * bytes);
    pack(rows, "the array", codes.data());
    for (size_t i = 0; i < rows.n; ++i) into.put(first + i, reinterpret_cast<const std::byte*>(&codes[i * bytes]));
}

void SignBits::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    std::vector<std::byte> code(codes.code_bytes());
    codes.get(row, code.data());
    auto* to = static_cast<float*>(out);
    for (size_t j = 0; j < dim; ++j) {
        const bool set = (unsigned(code[j / 8]) >> j % 8 & 1) != 0;
        to[j] = threshold(j) + (set ? 1.0f : -1.0f);
    }
}

RowScoring SignBits::scoring(size_t dim) const {
    RowScoring scoring = bit_scoring(code_bytes(dim));
    scoring.encode = [this](const Rows& queries, uint8_t* codes) { pack(queries, "the query", codes); };
    return scoring;
}

// With r a row's signs and m the thresholds: |q - m - r|^2 = |q - m|^2 + dim - 2 (q - m).r, and -q.(m + r).
CodeGroups SignBits::groups(size_t dim, Metric metric) const {
    double reach = 0;
    for (size_t j = 0; j < dim; ++j) reach += (std::abs(double(threshold(j))) + 1) * (std::abs(threshold(j)) + 1);
    const auto fill = [this, dim, l2 = is_l2(metric)](const float* query, float* tables) {
        for (size_t first = 0; first < dim; first += kSignGroup, tables += kSignEntries) {
            float q[kSignGroup] = {}, sums[kSignEntries], beside = 0;  // beyond dim are zeros, which score nothing
            for (size_t j = 0; j < std::min(kSignGroup, dim - first); ++j) {
                const float m = threshold(first + j), x = query[first + j];
                q[j] = l2 ? x - m : x;
                beside += l2 ? q[j] * q[j] + 1 : -x * m;
            }
            sign_sums(q, sums);
            for (size_t c = 0; c < kSignEntries; ++c)
                tables[c] = l2 ? std::max(beside - 4 * sums[c], 0.0f) : beside - 2 * sums[c];
        }
    };
    return {2 * code_bytes(dim), kSignGroup, dim, true, false, float(std::sqrt(reach)), fill};
}

size_t SignBits::table_bytes(size_t dim) const {
    return asymmetric_ ? TableQueries::table_bytes(2 * code_bytes(dim), kSignGroup) : 0;
}

std::unique_ptr<TileQueries> SignBits::tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const {
    if (asymmetric_) return std::make_unique<TableQueries>(groups(queries.dim, use.metric), use, queries, call);
    return std::make_unique<RawQueries>(scoring(queries.dim), queries);
}

std::unique_ptr<Scorer> SignBits::scorer(Metric metric, const Codes& codes, size_t dim) const {
    if (asymmetric_) return Codec::scorer(metric, codes, dim);
    return std::make_unique<RowScorer>(scoring(dim), codes);
}

std::unique_ptr<WalkScorer> SignBits::walk_scorer(Metric metric, const Codes& codes, size_t dim) const {
    if (asymmetric_) return std::make_unique<SignWalk>(*this, metric, codes, dim);
    return std::make_unique<RowWalk>(scoring(dim), codes);
}

std::unique_ptr<BatchScorer> SignBits::batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                                    const Call& call) const {
    if (asymmetric_ && codes.block == 1) return nullptr;  // no tile takes rows that are not in blocks
    if (asymmetric_) return Codec::batch_scorer(metric, codes, queries, call);
    if (queries.n < bit_tiles_from(code_bytes(queries.dim))) return nullptr;
    return std::make_unique<TileBatch>(scoring(queries.dim), codes, queries, call.threads);
}

void SignBits::save(Writer& out) const {
    out.value("median", int64_t(median_));
    if (asymmetric_) out.value("asymmetric", int64_t(1));
    if (!medians_.empty()) out.array("medians", medians_);
}

std::unique_ptr<Codec> SignBits::load(const Reader& in) {
    const bool asymmetric = in.has("asymmetric") && in.integer("asymmetric", 0, 1) != 0;
    auto codec = std::make_unique<SignBits>(in.integer("median", 0, 1) != 0, asymmetric);
    if (!codec->median_ || !in.has("medians")) return codec;
    const size_t dim = in.rows("medians");
    check<FormatError>(dim > 0 && dim <= kMaxDim, in.file(), ": section medians has ", dim, " rows, expected 1 to ",
                       kMaxDim);
    const auto medians = in.array<float>("medians", dim);
    check<FormatError>(std::all_of(medians.begin(), medians.end(), [](float x) { return std::isfinite(x); }), in.file(),
                       ": section medians has NaN or infinite values");
    // As of PQ's centroids: distances from them are to be no larger than floats.
    double norm2 = 0;
    for (float x : medians) norm2 += double(x) * x;
    check<FormatError>(!asymmetric || norm2 <= FLT_MAX * 0.26, in.file(), ": section medians has a squared norm of ",
                       norm2);
    codec->medians_.assign(medians.begin(), medians.end());
    return codec;
}

}  // namespace annkit
