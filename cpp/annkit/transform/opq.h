// Optimized product quantization (Ge, He, Ke, Sun: TPAMI 2014): the rotation for which product quantization errs least.
#pragma once

#include <vector>

#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

// Linear, without a mean: inner products stay what they are.
class Opq final : public Transform {
  public:
    struct Options {
        size_t m;            // groups of outputs, each with a codebook
        size_t dim = 0;      // outputs: a multiple of m; 0: as many as rows have
        size_t bits = 4;     // of a group's code
        size_t rounds = 24;  // 0: the solution for Gaussian rows (section 3.3) alone
    };
    explicit Opq(const Options& options);
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "opq"; }
    std::string repr() const override;
    std::string factory(std::string_view behind) const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Opq>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;
    void save(Writer& out) const override;
    bool is_fitted() const override { return !map_.empty(); }
    size_t nbytes() const override { return map_.nbytes(); }
    size_t dim_in() const override { return map_.inputs(); }
    size_t dim_out(size_t dim_in) const override { return options_.dim > 0 ? options_.dim : dim_in; }
    void apply(const Rows& in, float* out) const override { map_.apply(in, out); }
    bool is_invertible() const override { return true; }
    void invert(const float* in, size_t n, float* out) const override { map_.invert(in, n, out); }

    const Options& options() const { return options_; }
    const Affine& map() const { return map_; }

  private:
    Options options_;
    Affine map_;
};

}  // namespace annkit
