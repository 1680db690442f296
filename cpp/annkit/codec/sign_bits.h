// Sign bits: one bit a dimension, whether the value is above a threshold, compared by Hamming distance; or
// asymmetrically: queries stay floats, and a row is its thresholds plus or minus 1 (Gordo, Perronnin, Gong, Lazebnik,
// "Asymmetric distances for binary embeddings", TPAMI 2014, where one side's codes are replaced by their means; here
// it is by signs).
#pragma once

#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/codec/row_scoring.h"
#include "annkit/codec/table_queries.h"

namespace annkit {

class Reader;

// Bit j % 8 of byte j / 8 belongs to dimension j; the last byte is filled with zeros, which are the same in every code.
// Asymmetric codes are those of PQ with 4 bits and codebooks of signs: they lie in blocks and are scored by tables.
class SignBits final : public Codec {
  public:
    // The threshold is 0, or each dimension's median.
    explicit SignBits(bool median, bool asymmetric = false) : median_(median), asymmetric_(asymmetric) {}
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "sign_bits"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<SignBits>(*this); }
    std::string repr() const override;
    std::string factory(std::optional<bool>) const override;
    bool median() const { return median_; }
    bool asymmetric() const { return asymmetric_; }
    const std::vector<float>& medians() const { return medians_; }

    bool accepts(Dtype input) const override { return input != Dtype::bits; }
    std::string_view expects() const override { return "float32, float64, float16, bfloat16, uint8 or int8"; }
    Dtype decoded() const override { return Dtype::f32; }
    bool supports(Metric metric) const override {
        return asymmetric_ ? is_l2(metric) || metric == Metric::ip : metric == Metric::hamming;
    }
    bool learns() const override { return median_; }
    bool is_fitted() const override { return !median_ || !medians_.empty(); }
    size_t fitted_dim() const override { return medians_.size(); }
    size_t nbytes() const override { return medians_.size() * sizeof(float); }
    void fit(const Rows& rows, const Fit& fit) override;
    Codes make_codes(size_t dim, const CodeUse& use) const override {
        return Codes(code_bytes(dim), {}, asymmetric_ && !use.singly);
    }
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    // The threshold plus or minus 1.
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    size_t table_bytes(size_t dim) const override;
    std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                              const Call& call) const override;
    bool prepares_rows() const override { return !asymmetric_; }

  private:
    static size_t code_bytes(size_t dim) { return (dim + 7) / 8; }
    RowScoring scoring(size_t dim) const;
    CodeGroups groups(size_t dim, Metric metric) const;
    float threshold(size_t j) const { return median_ ? medians_[j] : 0.0f; }
    void pack(const Rows& rows, std::string_view what, uint8_t* codes) const;

    bool median_, asymmetric_;
    std::vector<float> medians_;
};

}  // namespace annkit
