// Raw: rows as they are, in float32, float16, bfloat16, uint8 or int8, with their squared norms beside them.
#pragma once

#include <string>

#include "annkit/codec/codec.h"
#include "annkit/codec/row_scoring.h"

namespace annkit {

class Reader;

class Raw final : public Codec {
  public:
    explicit Raw(std::string_view type);  // "f32", "f16", "bf16", "u8" or "i8"
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "raw"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<Raw>(*this); }
    std::string repr() const override;
    std::string factory(std::optional<bool> residual) const override;
    std::string_view type() const;

    bool accepts(Dtype input) const override;
    std::string_view expects() const override;
    Dtype decoded() const override;
    bool scores_cosine() const override { return true; }
    bool supports(Metric metric) const override { return metric != Metric::hamming; }
    Codes make_codes(size_t dim, const CodeUse&) const override;
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                              const Call& call) const override;
    bool prepares_rows() const override { return !is_bytes(); }

    RowScoring scoring(Metric metric, size_t dim, bool split = false) const;

  private:
    bool is_bytes() const { return element_ == simd::kU8 || element_ == simd::kI8; }
    void encode_floats(const Rows& rows, Codes& into, size_t first) const;

    simd::Element element_;
};

}  // namespace annkit
