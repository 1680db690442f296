// Random rotations, which spread what a few dimensions hold over all of them.
//
// "random": uniform among the rotations, a product with a dense matrix. "hadamard": random signs and Walsh-Hadamard
// transforms, n log n additions a row; about as even where it matters (Ailon and Chazelle 2009), and exactly
// orthogonal.
#pragma once

#include "annkit/math/random_rotation.h"
#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

class Rotation final : public Transform {
  public:
    // dim: outputs, at most the rows' dimension; 0: as many.
    Rotation(size_t dim, bool hadamard);
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "rotation"; }
    std::string repr() const override;
    std::string factory(std::string_view behind) const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Rotation>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;  // looks at the dimension alone
    void save(Writer& out) const override;
    bool is_fitted() const override { return dim_in_ > 0; }
    size_t nbytes() const override { return map_.nbytes() + mixing_.nbytes(); }
    size_t dim_in() const override { return dim_in_; }
    size_t dim_out(size_t dim_in) const override { return dim_ > 0 ? dim_ : dim_in; }
    void apply(const Rows& in, float* out) const override;
    bool is_invertible() const override { return true; }
    void invert(const float* in, size_t n, float* out) const override;

    size_t dim() const { return dim_; }
    bool is_hadamard() const { return hadamard_; }
    const Affine& map() const { return map_; }  // empty for "hadamard"

  private:
    size_t dim_, dim_in_ = 0;
    bool hadamard_;
    Affine map_;             // of "random"
    RandomRotation mixing_;  // of "hadamard"
};

}  // namespace annkit
