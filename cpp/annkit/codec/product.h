// PQ: the dimensions in m groups, each coded as the number of the nearest centroid of a codebook that is learned.
#pragma once

#include <optional>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/math/kmeans.h"
#include "annkit/math/product_quantizer.h"

namespace annkit {

class Reader;

class Product final : public Codec {
  public:
    // seed: instead of the one that fit is given.
    Product(size_t m, size_t bits, std::optional<uint64_t> seed = {});
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "product"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<Product>(*this); }
    std::string repr() const override;
    std::string factory(std::optional<bool> residual) const override;
    const ProductQuantizer& quantizer() const { return quantizer_; }
    std::optional<uint64_t> seed() const { return seed_; }

    bool accepts(Dtype input) const override { return input != Dtype::bits; }
    std::string_view expects() const override { return "float32, float64, float16, bfloat16, uint8 or int8"; }
    Dtype decoded() const override { return Dtype::f32; }
    bool supports(Metric metric) const override { return metric != Metric::hamming; }
    bool learns() const override { return true; }
    bool is_fitted() const override { return quantizer_.is_trained(); }
    size_t fitted_dim() const override { return quantizer_.dim(); }
    size_t nbytes() const override { return quantizer_.nbytes(); }
    bool takes_residuals() const override { return true; }
    size_t rows_wanted() const override { return kLeastRowsPerCentroid * quantizer_.entries(); }
    void fit(const Rows& rows, const Fit& fit) override;
    Codes make_codes(size_t dim, const CodeUse& use) const override;
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    void decode_rows(const Codes& codes, size_t first, size_t n, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    size_t table_bytes(size_t dim) const override;

    bool in_blocks() const { return quantizer_.bits() == 4; }
    size_t code_bytes() const { return (quantizer_.m() * quantizer_.bits() + 7) / 8; }

  private:
    void pack(const uint16_t* numbers, std::byte* code) const;
    void unpack(const std::byte* code, uint16_t* numbers) const;

    ProductQuantizer quantizer_;
    std::optional<uint64_t> seed_;
    float reach_ = 0;  // the largest norm of what a code stands for
};

}  // namespace annkit
