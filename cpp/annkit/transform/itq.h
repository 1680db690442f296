// Iterative quantization (Gong and Lazebnik: Iterative quantization: a Procrustean approach to learning binary codes,
// CVPR 2011): fewer dimensions, turned such that signs stand for their values as well as they can.
#pragma once

#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

class Itq final : public Transform {
  public:
    // What the rotation starts from: principal components; or, of rows with labels, canonical correlations scaled by
    // their size (section 4 of the paper), or discriminants that all have the same variance within the classes.
    enum class Start : uint8_t { pca, cca, lda };
    struct Options {
        size_t bits = 64;  // outputs
        size_t iterations = 50;
        Start start = Start::pca;
    };
    explicit Itq(const Options& options);
    static Start start_from(std::string_view name);  // ValueError lists the names
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "itq"; }
    std::string repr() const override;
    std::string factory(std::string_view behind) const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Itq>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;
    void save(Writer& out) const override;
    bool is_fitted() const override { return !map_.empty(); }
    size_t nbytes() const override { return map_.nbytes(); }
    size_t dim_in() const override { return map_.inputs(); }
    size_t dim_out(size_t) const override { return options_.bits; }
    void apply(const Rows& in, float* out) const override { map_.apply(in, out); }
    bool is_invertible() const override { return options_.start == Start::pca; }  // of others rows are not orthogonal
    void invert(const float* in, size_t n, float* out) const override;

    const Affine& map() const { return map_; }

  private:
    Options options_;
    Affine map_;
};

}  // namespace annkit
