// SQ: each dimension in 8, 6 or 4 bits between a lowest and a highest value that are learned.
#pragma once

#include <vector>

#include "annkit/codec/codec.h"

namespace annkit {

class Reader;

class Scalar final : public Codec {
  public:
    // uniform: one range for all dimensions. outliers: the share of values below and above the range (0: min and max).
    Scalar(size_t bits, bool uniform, double outliers);
    static std::unique_ptr<Codec> load(const Reader& in);

    std::string_view kind() const override { return "scalar"; }
    void save(Writer& out) const override;
    std::unique_ptr<Codec> clone() const override { return std::make_unique<Scalar>(*this); }
    std::string repr() const override;
    std::string factory(std::optional<bool> residual) const override;
    size_t bits() const { return bits_; }
    bool uniform() const { return uniform_; }
    double outliers() const { return outliers_; }

    bool accepts(Dtype input) const override { return input != Dtype::bits; }
    std::string_view expects() const override { return "float32, float64, float16, bfloat16, uint8 or int8"; }
    Dtype decoded() const override { return Dtype::f32; }
    bool supports(Metric metric) const override { return metric != Metric::hamming; }
    bool learns() const override { return true; }
    bool is_fitted() const override { return !low_.empty(); }
    size_t fitted_dim() const override { return low_.size(); }
    size_t nbytes() const override;
    bool takes_residuals() const override { return true; }
    bool prefers_residuals() const override { return bits_ < 8; }  // 8 bits tell rows apart as they are
    void fit(const Rows& rows, const Fit& fit) override;
    Codes make_codes(size_t dim, const CodeUse& use) const override;
    void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const override;
    void decode(const Codes& codes, size_t row, size_t dim, void* out) const override;
    std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const override;
    std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const override;

    // Side columns. Of a code u, whose row or residual is low + step * u: its distance from the mean code, and what l2
    // adds to the dot product. Where rows are asked for one by one, that lies behind the code itself: one line of
    // memory fewer a row (a graph's queries a second, l2: 1.1 times at d = 25 and 100, 1.03 at d = 200).
    static constexpr size_t kReach = 1, kAdd = 2;
    float add(const Codes& codes, size_t row) const {
        return codes.use.singly ? *reinterpret_cast<const float*>(codes.code(row) + add_at())
                                : *codes.columns[kAdd].at<float>(row);
    }

  private:
    friend class ScalarQueries;
    friend class ScalarWalk;
    size_t code_bytes() const;
    size_t add_at() const { return (code_bytes() + 3) / 4 * 4; }
    float most() const { return float((1u << bits_) - 1); }
    void set_range(std::vector<float> low, std::vector<float> high);
    void derive();
    void take(Scalar&& other) noexcept;
    std::vector<uint32_t> heavy(const std::vector<float>& from) const;
    float reach(const uint8_t* wide) const;
    float square(const float* decoded, const float* centroid) const;
    // Of 8 or 4 bits.
    float code_at(const std::byte* code, size_t j) const {
        return float(bits_ == 8 ? unsigned(code[j]) : unsigned(code[j / 2]) >> j % 2 * 4 & 15);
    }
    void pack(const uint8_t* wide, std::byte* code) const;
    void unpack(const std::byte* code, uint8_t* wide) const;  // padded with zeros to a multiple of 4

    size_t bits_;
    bool uniform_;
    double outliers_;
    std::vector<float> low_, step_, inverse_;
    std::vector<float> center_;     // the mean of what it learned from: rows that are not residuals are taken from it
    std::vector<float> mean_code_;  // where the center lies between the codes
    // Dimensions that are so much wider than the others, from center or from zero, that a query's weights of them leave
    // nothing of the others' when they are rounded together: those tiles multiply in floats.
    std::vector<uint32_t> heavy_, heavy_from_zero_;
};

}  // namespace annkit
