#include "annkit/codec/certified.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 256;
constexpr float kUnit = FLT_EPSILON / 2;
constexpr float kUp = 1 + 4 * FLT_EPSILON;  // rounds a product of a few factors up

// Scans the sketches; asks the exact scorer where they cannot decide.
class CertifiedScorer final : public Scorer {
  public:
    CertifiedScorer(const RowScoring& scoring, const Codes& codes)
        : scoring_(scoring), codes_(codes), exact_(scoring, codes), query_codes_((scoring.dim + 63) / 64 * 64) {}

    void query(const Rows& one) override {
        prepared_ = std::make_unique<PreparedQueries>(scoring_, one);
        exact_.query(prepared_->row(0), prepared_->norm2(0));
        quantize(static_cast<const float*>(prepared_->row(0)), prepared_->norm2(0));
    }
    void gather(const uint32_t* rows, size_t n, float* out) const override { exact_.gather(rows, n, out); }
    void scan(RowRange range, const Bitset* allowed, TopK& top) const override;

  private:
    void quantize(const float* q, float norm2);
    float slack(uint32_t row, size_t n) const;

    RowScoring scoring_;
    const Codes& codes_;
    RowScorer exact_;
    std::unique_ptr<PreparedQueries> prepared_;
    std::vector<int16_t> query_codes_;
    simd::Sq8Query sketch_{};
    float query_norm_ = 0, query_error_ = 0, inverse_norm_ = 0;
};

// The query in 16 bits, or fewer where the dimension is large, so that the sums fit 32 bits.
void CertifiedScorer::quantize(const float* q, float norm2) {
    const size_t dim = scoring_.dim;
    const float levels = float(std::min<size_t>(32767, size_t(INT32_MAX) / 255 / dim));
    float largest = 0;
    for (size_t j = 0; j < dim; ++j) largest = std::max(largest, std::abs(q[j]));
    const float scale = largest > 0 ? largest / levels : 1.0f;
    double sum = 0, error2 = 0, squares = 0;
    for (size_t j = 0; j < dim; ++j) {
        const float code = std::clamp(std::nearbyint(q[j] / scale), -levels, levels);
        query_codes_[j] = int16_t(code);
        sum += q[j];
        squares += double(q[j]) * q[j];
        const double miss = double(q[j]) - double(scale) * code;
        error2 += miss * miss;
    }
    query_norm_ = float(std::sqrt(squares)) * kUp;
    query_error_ = float(std::sqrt(error2)) * kUp;
    inverse_norm_ = inverse_norm(norm2);
    const bool l2 = is_l2(scoring_.metric), cosine = scoring_.cosine();
    sketch_ = {query_codes_.data(),
               scale,
               float(sum),
               query_norm_,
               l2       ? -2.0f
               : cosine ? -inverse_norm_
                        : -1.0f,
               l2       ? norm2
               : cosine ? 1.0f
                        : 0.0f,
               l2 ? 1.0f : 0.0f,
               0};
}

// What is lost besides a row's own error: the query's rounding times |decoded - offset|, and the rounding of the sums,
// of the norms and of the canonical score itself (as in TileBatch).
float CertifiedScorer::slack(uint32_t row, size_t n) const {
    const auto* rows = codes_.columns[Certified::kSketchRows].at<simd::Sq8Row>(row);
    // All four fields of four rows at a time, as the compiler turns them into vectors: one chain of maxima is slower
    // than memory.
    constexpr size_t kAtOnce = 4;
    simd::Sq8Row most[kAtOnce] = {};
    const auto raise = [](simd::Sq8Row& a, const simd::Sq8Row& b) {
        a = {std::max(a.scale, b.scale), std::max(a.offset, b.offset), std::max(a.error, b.error),
             std::max(a.norm2, b.norm2)};
    };
    size_t i = 0;
    for (; i + kAtOnce <= n; i += kAtOnce)
        for (size_t j = 0; j < kAtOnce; ++j) raise(most[j], rows[i + j]);
    for (; i < n; ++i) raise(most[0], rows[i]);
    for (size_t j = 1; j < kAtOnce; ++j) raise(most[0], most[j]);
    const float norm2 = most[0].norm2, scale = most[0].scale;
    const float x = scoring_.cosine() ? 1.0f : std::sqrt(norm2) * kUp;
    const float reach = is_l2(scoring_.metric) ? (query_norm_ + x) * (query_norm_ + x) : query_norm_ * x;
    const float rounding = 2 * (float(scoring_.dim) + 24) * kUnit;
    return query_error_ * 255 * scale * std::sqrt(float(scoring_.dim)) * kUp + rounding * reach;
}

void CertifiedScorer::scan(RowRange range, const Bitset* allowed, TopK& top) const {
    const auto scan = simd::kernels().sq8_lower;
    float lower[kBlock], scores[kBlock];
    uint32_t near[kBlock], rows[kBlock];
    for (uint32_t row = range.first; row < range.last;) {
        const size_t n = std::min<size_t>({kBlock, range.last - row, codes_.run(row)});
        simd::Sq8Query query = sketch_;
        query.slack = slack(row, n);
        scan(query, codes_.columns[Certified::kSketch].at<uint8_t>(row),
             codes_.columns[Certified::kSketchRows].at<simd::Sq8Row>(row), scoring_.dim, n, lower);
        const size_t found = simd::kernels().select(lower, n, top.bound(), near);
        size_t undecided = 0;
        for (size_t i = 0; i < found; ++i)
            if (allowed == nullptr || allowed->test(row + near[i])) rows[undecided++] = row + near[i];
        gather(rows, undecided, scores);
        for (size_t i = 0; i < undecided; ++i)
            if (scores[i] <= top.bound()) top.push(scores[i], rows[i]);
        row += uint32_t(n);
    }
}

}  // namespace

Certified::Certified(const Raw& exact, bool cosine) : exact_(exact), cosine_(cosine) {
    check(exact.decoded() == Dtype::f32, "scan=\"sq8\" is for float codecs, got ", exact.repr(),
          "; rows of bytes are scanned as they are");
}

void Certified::save(Writer& out) const {
    out.part("exact", exact_);
    out.value("cosine", int64_t(cosine_));
}
std::unique_ptr<Codec> Certified::load(const Reader& in) {
    const Reader exact = in.child("exact");
    check<FormatError>(exact.kind() == "raw", exact.file(), ": a certified codec holds ", exact.kind(),
                       ", expected raw");
    return std::make_unique<Certified>(Raw(exact.text("type", 8)), in.integer("cosine", 0, 1) != 0);
}

std::string Certified::factory(std::optional<bool>) const { fail("no factory string has a word for scan=\"sq8\""); }

Codes Certified::make_codes(size_t dim, const CodeUse& use) const {
    check(dim <= kMaxDim, "scan=\"sq8\" takes at most ", kMaxDim, " dimensions, got ", dim);
    const Codes plain = exact_.make_codes(dim, use);
    return Codes(plain.code_bytes(), {plain.columns[RowScoring::kNorms].row_bytes(), dim, sizeof(simd::Sq8Row)});
}

void Certified::encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const {
    exact_.encode(rows, centroid, into, first);
    std::vector<float> row(rows.dim);
    for (size_t i = first; i < first + rows.n; ++i) {
        exact_.decode(into, i, rows.dim, row.data());
        sketch(row.data(), *into.columns[RowScoring::kNorms].at<float>(i), rows.dim,
               into.columns[kSketch].at<uint8_t>(i), *into.columns[kSketchRows].at<simd::Sq8Row>(i));
    }
}

// x ~ offset + scale * code, with the distance between the two; for cosine, the same of x / |x|.
void Certified::sketch(const float* row, float norm2, size_t dim, uint8_t* codes, simd::Sq8Row& out) const {
    const auto [low, high] = std::minmax_element(row, row + dim);
    const float offset = *low, scale = *high > *low ? (*high - *low) / 255 : 0.0f;
    const float inverse = scale > 0 ? 1 / scale : 0.0f;
    double error2 = 0;
    for (size_t j = 0; j < dim; ++j) {
        const float code = std::clamp(std::nearbyint((row[j] - offset) * inverse), 0.0f, 255.0f);
        codes[j] = uint8_t(code);
        const double miss = double(row[j]) - (double(offset) + double(scale) * code);
        error2 += miss * miss;
    }
    const float unit = cosine_ ? inverse_norm(norm2) : 1.0f;
    out = {scale * unit, offset * unit, float(std::sqrt(error2)) * unit * kUp, norm2};
}

void Certified::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    exact_.decode(codes, row, dim, out);
}

std::unique_ptr<Scorer> Certified::scorer(Metric metric, const Codes& codes, size_t dim) const {
    return std::make_unique<CertifiedScorer>(exact_.scoring(metric, dim), codes);
}

std::unique_ptr<BatchScorer> Certified::batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                                     const Call& call) const {
    return exact_.batch_scorer(metric, codes, queries, call);
}

}  // namespace annkit
