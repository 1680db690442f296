// Gaussian random projection (Johnson and Lindenstrauss 1984): keeps squared distances within about sqrt(8 / dim).
#pragma once

#include "annkit/transform/affine.h"
#include "annkit/transform/transform.h"

namespace annkit {

class Projection final : public Transform {
  public:
    // centers: rows are taken from the mean of those that it is fitted to.
    explicit Projection(size_t dim, bool centers = false);
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "projection"; }
    std::string repr() const override;
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Projection>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;  // looks at the dimension alone, and the mean
    void save(Writer& out) const override;
    bool is_fitted() const override { return !map_.empty(); }
    size_t nbytes() const override { return map_.nbytes(); }
    size_t dim_in() const override { return map_.inputs(); }
    size_t dim_out(size_t) const override { return dim_; }
    void apply(const Rows& in, float* out) const override { map_.apply(in, out); }
    bool is_invertible() const override { return false; }  // the rows of the matrix are not orthogonal
    void invert(const float* in, size_t n, float* out) const override;
    const Affine& map() const { return map_; }
    bool centers() const { return centers_; }

  private:
    size_t dim_;
    bool centers_;
    Affine map_;
};

}  // namespace annkit
