#include "annkit/codec/raw.h"

#include <cmath>
#include <cstring>

#include "annkit/codec/raw_queries.h"
#include "annkit/codec/split_walk.h"
#include "annkit/codec/tile_batch.h"
#include "annkit/codec/walk_scorer.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/spelling.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

constexpr std::string_view kTypes[] = {"f32", "f16", "bf16", "u8", "i8"};
constexpr size_t kBytes[] = {4, 2, 2, 1, 1};

simd::Element element_from(std::string_view type) {
    for (uint8_t i = 0; i < std::size(kTypes); ++i)
        if (kTypes[i] == type) return simd::Element(i);
    fail("Raw has type \"", type, "\", expected one of \"f32\", \"f16\", \"bf16\", \"u8\", \"i8\"",
         did_you_mean(type, kTypes));
}

// Below this many queries one scan a query, over rows that stay in cache, is as fast as a tile.
constexpr size_t kTileFrom = 4;
// From so many dimensions on, rows that graphs lead to lie in halves. Queries a second at a recall of 0.95 to 0.99, of
// whole rows: 0.9 with 64 dimensions, 1.0 with 96, 1.1 with 128 (SIFT), 1.4 with 768 and 784, 1.5 with 1,536 (Zen 5,
// 15,000 to 100,000 rows).
constexpr size_t kSplitDim = 128;
// Integer tiles sum in 32 bits: 255 * 255 * dim has to fit.
constexpr size_t kByteTileDim = 32768;

}  // namespace

Raw::Raw(std::string_view type) : element_(element_from(type)) {}
std::string_view Raw::type() const { return kTypes[element_]; }
std::string Raw::repr() const { return concat("Raw(\"", type(), "\")"); }
std::string Raw::factory(std::optional<bool>) const {
    constexpr std::string_view kWords[] = {"Flat", "SQfp16", "SQbf16", "SQ8_direct", "SQ8_direct_signed"};
    return std::string(kWords[element_]);
}
void Raw::save(Writer& out) const { out.value("type", type()); }
std::unique_ptr<Codec> Raw::load(const Reader& in) { return std::make_unique<Raw>(in.text("type", 8)); }

bool Raw::accepts(Dtype input) const {
    if (element_ == simd::kU8) return input == Dtype::u8;
    if (element_ == simd::kI8) return input == Dtype::i8;
    return input != Dtype::bits;
}
std::string_view Raw::expects() const {
    if (element_ == simd::kU8) return "uint8";
    if (element_ == simd::kI8) return "int8";
    return "float32, float64, float16, bfloat16, uint8 or int8";
}
Dtype Raw::decoded() const {
    return element_ == simd::kU8 ? Dtype::u8 : element_ == simd::kI8 ? Dtype::i8 : Dtype::f32;
}

Codes Raw::make_codes(size_t dim, const CodeUse& use) const {
    Codes codes(dim * kBytes[element_], {sizeof(float)});
    codes.split = use.walked && element_ == simd::kF32 && dim >= kSplitDim;
    return codes;
}

void Raw::encode(const Rows& rows, const float*, Codes& into, size_t first) const {
    if (!is_bytes()) return encode_floats(rows, into, first);
    for (size_t i = 0; i < rows.n; ++i) {
        auto* code = into.columns[0].at<uint8_t>(first + i);
        copy_bytes(rows, i, code);
        float* norm = into.columns[RowScoring::kNorms].at<float>(first + i);
        const void* self = code;
        simd::kernels().ip[element_](self, &self, rows.dim, 1, norm);
        *norm = 0.0f - *norm;
    }
}

void Raw::encode_floats(const Rows& rows, Codes& into, size_t first) const {
    const FloatBlock block(rows, "the array");
    const bool narrows = element_ != simd::kF32;
    std::vector<float> kept(narrows ? rows.dim : 0);
    for (size_t i = 0; i < rows.n; ++i) {
        float* norm = into.columns[RowScoring::kNorms].at<float>(first + i);
        if (!narrows) {
            std::byte* code = into.columns[0].row(first + i);
            if (into.split)
                simd::kernels().split(block.row(i), rows.dim, reinterpret_cast<uint16_t*>(code));
            else
                std::memcpy(code, block.row(i), rows.dim * sizeof(float));
            *norm = block.norm2(i);
            continue;
        }
        auto* code = into.columns[0].at<uint16_t>(first + i);
        const size_t kind = element_ == simd::kBf16;
        simd::kernels().narrow[kind](block.row(i), rows.dim, code);
        simd::kernels().widen[kind](code, rows.dim, kept.data());
        for (size_t j = 0; j < rows.dim; ++j)
            check(std::isfinite(kept[j]), "row ", rows.first + i, ", column ", j, " is ", double(block.row(i)[j]),
                  ", beyond the largest ", element_ == simd::kF16 ? "float16 (65504)" : "bfloat16");
        const void* self = kept.data();
        simd::kernels().ip[simd::kF32](self, &self, rows.dim, 1, norm);
        *norm = 0.0f - *norm;
    }
}

void Raw::decode(const Codes& codes, size_t row, size_t dim, void* out) const {
    const std::byte* code = codes.code(row);
    const bool as_it_lies = is_bytes() || (element_ == simd::kF32 && !codes.split);
    if (as_it_lies)
        std::memcpy(out, code, codes.code_bytes());
    else
        floats_of(codes.split ? simd::kSplit : element_, code, dim, static_cast<float*>(out));
}

RowScoring Raw::scoring(Metric metric, size_t dim, bool split) const {
    const simd::Kernels& k = simd::kernels();
    const simd::Element element = split ? simd::kSplit : element_;
    // The norms of float queries come from their float32 form, those of bytes from the bytes.
    RowScoring s{.metric = metric,
                 .score = (is_l2(metric) ? k.l2 : k.ip)[element],
                 .scan = (is_l2(metric) ? k.scan_l2 : k.scan_ip)[element],
                 .ip = k.ip[element],
                 .tiles = k.tiles[element],
                 .element = element,
                 .dim = dim,
                 .float_queries = !is_bytes(),
                 .in_place = element == simd::kF32 && dim * sizeof(float) % 1024 != 0};
    return s;
}

std::unique_ptr<TileQueries> Raw::tile_queries(const CodeUse& use, const Rows& queries, const Call&) const {
    RowScoring s = scoring(use.metric, queries.dim);
    if (is_bytes() && queries.dim > kByteTileDim) s.tiles = {};
    return std::make_unique<RawQueries>(s, queries);
}

std::unique_ptr<Scorer> Raw::scorer(Metric metric, const Codes& codes, size_t dim) const {
    return std::make_unique<RowScorer>(scoring(metric, dim, codes.split), codes);
}

std::unique_ptr<WalkScorer> Raw::walk_scorer(Metric metric, const Codes& codes, size_t dim) const {
    if (codes.split) return std::make_unique<SplitWalk>(scoring(metric, dim, true), codes);
    return std::make_unique<RowWalk>(scoring(metric, dim), codes);
}

std::unique_ptr<BatchScorer> Raw::batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                               const Call& call) const {
    if (queries.n < kTileFrom || (is_bytes() && queries.dim > kByteTileDim)) return nullptr;
    return std::make_unique<TileBatch>(scoring(metric, queries.dim, codes.split), codes, queries, call.threads);
}

}  // namespace annkit
