// Certified: an exact float codec with an 8-bit sketch of every row beside it. A scan reads the sketch, whose error is
// known for each row, and looks at the floats only where the sketch cannot decide: the answers are those of the floats.
#pragma once

#include "annkit/codec/codec.h"
#include "annkit/codec/raw.h"

namespace annkit {

class Certified final : public Codec {
  public:
    Certified(const Raw& exact, bool cosine);  // a float type
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "certified"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<Certified>(*this); }
    std::string repr() const override { return exact_.repr(); }
    std::string factory(std::optional<bool>) const override;

    bool accepts(Dtype input) const override { return exact_.accepts(input); }
    std::string_view expects() const override { return exact_.expects(); }
    Dtype decoded() const override { return exact_.decoded(); }
    bool scores_cosine() const override { return true; }
    bool in_lists() const override { return false; }
    bool supports(Metric metric) const override { return exact_.supports(metric); }
    Codes make_codes(size_t dim, const CodeUse&) const override;
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                              const Call& call) const override;
    bool prepares_rows() const override { return true; }

    static constexpr size_t kSketch = 2, kSketchRows = 3;  // columns: dim bytes, and a simd::Sq8Row
    static constexpr size_t kMaxDim = 65536;               // 255 * 128 * dim fits the 32-bit sums of the scan

  private:
    void sketch(const float* row, float norm2, size_t dim, uint8_t* codes, simd::Sq8Row& out) const;
    Raw exact_;
    bool cosine_;  // sketches are of normalised rows
};

}  // namespace annkit
