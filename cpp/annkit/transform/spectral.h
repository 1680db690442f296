// Spectral hashing (Weiss, Torralba, Fergus: Spectral hashing, NIPS 2008): the eigenfunctions that vary most slowly
// over rows spread evenly in a box along their principal components.
#pragma once

#include <vector>

#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

// Output i is the cosine of frequency[i] * (component[i] - its least value), one of the box's eigenfunctions.
class Spectral final : public Transform {
  public:
    explicit Spectral(size_t bits);
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "spectral"; }
    std::string repr() const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Spectral>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;
    void save(Writer& out) const override;
    bool is_fitted() const override { return !map_.empty(); }
    size_t nbytes() const override { return map_.nbytes() + phases_.size() * sizeof(float); }
    size_t dim_in() const override { return map_.inputs(); }
    size_t dim_out(size_t) const override { return bits_; }
    void apply(const Rows& in, float* out) const override;
    bool is_invertible() const override { return false; }
    void invert(const float* in, size_t n, float* out) const override;

  private:
    size_t bits_;
    Affine map_;                 // to frequency times component
    std::vector<float> phases_;  // frequency times its least value
};

}  // namespace annkit
