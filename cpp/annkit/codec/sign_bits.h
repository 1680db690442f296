// Sign bits: one bit a dimension, whether the value is above a threshold, compared by Hamming distance.
#pragma once

#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/codec/row_scoring.h"

namespace annkit {

class Reader;

// Bit j % 8 of byte j / 8 belongs to dimension j; the last byte is filled with zeros, which are the same in every code.
class SignBits final : public Codec {
  public:
    // The threshold is 0, or each dimension's median.
    explicit SignBits(bool median) : median_(median) {}
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "sign_bits"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<SignBits>(*this); }
    std::string repr() const override { return median_ ? "SignBits(threshold=\"median\")" : "SignBits()"; }
    std::string factory(std::optional<bool>) const override { return median_ ? "LSHt" : "LSH"; }
    bool median() const { return median_; }
    const std::vector<float>& medians() const { return medians_; }

    bool accepts(Dtype input) const override { return input != Dtype::bits; }
    std::string_view expects() const override { return "float32, float64, float16, bfloat16, uint8 or int8"; }
    Dtype decoded() const override { return Dtype::f32; }
    bool supports(Metric metric) const override { return metric == Metric::hamming; }
    bool learns() const override { return median_; }
    bool is_fitted() const override { return !median_ || !medians_.empty(); }
    size_t fitted_dim() const override { return medians_.size(); }
    void fit(const Rows& rows, const Fit& fit) override;
    Codes make_codes(size_t dim, const CodeUse&) const override { return Codes(code_bytes(dim), {}); }
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    // The threshold plus or minus 1.
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                              const Call& call) const override;
    bool shares_queries() const override { return false; }

  private:
    static size_t code_bytes(size_t dim) { return (dim + 7) / 8; }
    RowScoring scoring(size_t dim) const;
    template <class CodeOf>  // code_of(i): where row i's code goes
    void pack(const Rows& rows, std::string_view what, CodeOf&& code_of) const;

    bool median_;
    std::vector<float> medians_;
};

}  // namespace annkit
