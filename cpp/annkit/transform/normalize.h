// Rows scaled to a length of 1; rows of zeros stay as they are.
#pragma once

#include "annkit/transform/transform.h"

namespace annkit {

class Reader;

class Normalize final : public Transform {
  public:
    static std::unique_ptr<Transform> load(const Reader&) { return std::make_unique<Normalize>(); }
    std::string_view kind() const override { return "normalize"; }
    std::string repr() const override { return "Normalize()"; }
    std::string factory(std::string_view) const override { return "L2norm"; }
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Normalize>(); }
    void save(Writer&) const override {}
    bool is_fitted() const override { return true; }
    size_t nbytes() const override { return 0; }
    size_t dim_in() const override { return 0; }
    size_t dim_out(size_t dim_in) const override { return dim_in; }
    void apply(const Rows& in, float* out) const override;
    bool is_invertible() const override { return false; }  // the lengths are lost
    void invert(const float* in, size_t n, float* out) const override;
};

}  // namespace annkit
