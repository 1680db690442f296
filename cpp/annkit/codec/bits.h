// Bits: packed binary codes, eight bits to a byte, as they are.
#pragma once

#include "annkit/codec/codec.h"
#include "annkit/codec/row_scoring.h"

namespace annkit {

class Reader;

// Hamming distances of codes of so many bytes.
RowScoring bit_scoring(size_t bytes);
// From so many queries on transposing a tile of codes pays.
size_t bit_tiles_from(size_t bytes);

class Bits final : public Codec {
  public:
    static std::unique_ptr<Codec> load(const Reader&) { return std::make_unique<Bits>(); }

    std::string_view kind() const override { return "bits"; }
    void save(Writer&) const override {}
    std::unique_ptr<Codec> clone() const override { return std::make_unique<Bits>(); }
    std::string repr() const override { return "Bits()"; }
    std::string factory(std::optional<bool>) const override { return "BFlat"; }

    bool accepts(Dtype input) const override { return input == Dtype::bits; }
    std::string_view expects() const override { return "uint8 with eight bits to a byte"; }
    Dtype decoded() const override { return Dtype::bits; }
    bool supports(Metric metric) const override { return metric == Metric::hamming; }
    Codes make_codes(size_t dim, const CodeUse&) const override { return Codes(dim / 8, {}); }
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const override;
    std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                              const Call& call) const override;
    bool prepares_rows() const override { return true; }
};

}  // namespace annkit
