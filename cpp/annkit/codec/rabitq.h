// RaBitQ: 1 to 8 bits a dimension of the rotated row, with an unbiased estimate of distances and a bound of its error
// (Gao and Long, SIGMOD 2024; Gao et al., SIGMOD 2025; see codec/rabitq_code.h).
//
// With c the centroid, r = P (x - c), u the row's code, f its factor, and every query and centroid taken relative to
// the learned mean m (so that numbers stay small):
//     l2:  |x - q|^2 = |q - c|^2 + |r|^2 - 2 <x - c, q - c>    ~  |q - c|^2 + f (-2 <u, P(q - m)>) + add
//     ip:    - <x, q> = -<q, c> - <x - c, c> - <x - c, q - c>  ~  -<q, c>   + f   (-<u, P(q - m)>) + add
// so a tile needs nothing of the query but tables of P(q - m), the same ones for every list. Without a centroid c is m.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/codec/rabitq_code.h"
#include "annkit/math/random_rotation.h"

namespace annkit {

class Reader;

class RaBitQ final : public Codec {
  public:
    explicit RaBitQ(size_t bits);
    static std::unique_ptr<Codec> load(const Reader& in);

    // The columns: signs in blocks of nibbles; the factor and the summand of the signs' estimate; and, of more than one
    // bit, the weight of its error and the rest: the factor of all bits, their summand in residual codes (elsewhere it
    // is the signs'), the lower planes of bits.
    static constexpr size_t kSigns = 0, kMul = 1, kAdd = 2, kErr = 3, kRest = 4;

    // An entry of kErr is at least this part of the factor.
    static constexpr float kFactorParts = 2;

    std::string_view kind() const override { return "rabitq"; }
    void fit(const Rows& rows, const Fit& fit) override;  // the mean; the seed is the rotation's
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<RaBitQ>(*this); }
    std::string repr() const override;
    std::string factory(std::optional<bool> residual) const override;

    bool accepts(Dtype input) const override { return input != Dtype::bits; }
    std::string_view expects() const override { return "float32, float64, float16, bfloat16, uint8 or int8"; }
    Dtype decoded() const override { return Dtype::f32; }
    bool supports(Metric metric) const override { return metric != Metric::hamming; }
    bool learns() const override { return true; }
    bool is_fitted() const override { return !mean_.empty(); }
    size_t fitted_dim() const override { return mean_.size(); }
    size_t nbytes() const override { return mean_.size() * sizeof(float) + rotation_.nbytes(); }
    bool takes_residuals() const override { return true; }
    bool has_certain_bounds() const override { return bits_ == 1; }
    Codes make_codes(size_t dim, const CodeUse& use) const override;
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;

    size_t bits() const { return bits_; }
    size_t padded() const { return rotation_.dim(); }  // dimensions that have bits
    size_t plane_bytes() const { return padded() / 8; }
    float middle() const { return float((1u << bits_) - 1) / 2; }  // u = level - middle
    // Where the planes start in an entry of the last column.
    static size_t planes_at(const CodeUse& use) { return (use.residual ? 2 : 1) * sizeof(float); }
    const std::vector<float>& mean() const { return mean_; }
    // P (x - centre), of padded() values; returns |x - centre|^2. what and row: for the message where that is too
    // large.
    double rotate(const float* x, const float* centre, float* out, std::string_view what, size_t row) const;

  private:
    struct Encoder;
    void learn(std::vector<float> mean, uint64_t seed);
    void check_fitted(size_t dim, std::string_view what) const;

    size_t bits_;
    uint64_t seed_ = 0;
    std::vector<float> mean_;
    RandomRotation rotation_;
};

}  // namespace annkit
