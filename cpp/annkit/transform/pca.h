// Principal component analysis: the directions in which rows vary most, largest first.
#pragma once

#include <vector>

#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

// Deals components to m groups of equal size so that the products of their variances come out even: each, largest
// first, goes to the group with the smallest product that has room (Ge, He, Ke, Sun: Optimized product quantization,
// TPAMI 2014, section 3.3). Returns which component stands at each place.
std::vector<size_t> balanced_order(std::span<const double> variances, size_t m);

class Pca final : public Transform {
  public:
    struct Options {
        size_t dim;
        // Components are divided by the power of their standard deviation: 0 leaves them as they are, 1 whitens.
        double whiten = 0;
        size_t balance = 0;  // groups; 0: components stay in the order of their variance
    };
    explicit Pca(const Options& options);
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "pca"; }
    std::string repr() const override;
    std::string factory(std::string_view behind) const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Pca>(*this); }
    bool looks_at_all_rows() const override { return true; }
    void fit(const Rows& rows, const Fit& fit) override;
    void save(Writer& out) const override;
    bool is_fitted() const override { return !map_.empty(); }
    size_t nbytes() const override { return map_.nbytes() + variances_.size() * sizeof(double); }
    size_t dim_in() const override { return map_.inputs(); }
    size_t dim_out(size_t) const override { return options_.dim; }
    void apply(const Rows& in, float* out) const override { map_.apply(in, out); }
    bool is_invertible() const override { return true; }
    void invert(const float* in, size_t n, float* out) const override { map_.invert(in, n, out); }

    const Options& options() const { return options_; }
    const Affine& map() const { return map_; }  // its matrix has the whitening in it
    const std::vector<double>& variances() const { return variances_; }

  private:
    Options options_;
    Affine map_;
    std::vector<double> variances_;  // of each output before whitening
};

}  // namespace annkit
