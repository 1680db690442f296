// Subtracts the mean of the rows it was fitted to.
#pragma once

#include <vector>

#include "annkit/transform/transform.h"

namespace annkit {

class Reader;

class Center final : public Transform {
  public:
    static std::unique_ptr<Transform> load(const Reader& in);
    std::string_view kind() const override { return "center"; }
    std::string repr() const override { return "Center()"; }
    std::string factory(std::string_view) const override { return "Center"; }
    std::unique_ptr<Transform> clone() const override { return std::make_unique<Center>(*this); }
    void fit(const Rows& rows, const Fit& fit) override;
    void save(Writer& out) const override;
    bool is_fitted() const override { return !mean_.empty(); }
    size_t nbytes() const override { return mean_.size() * sizeof(float); }
    size_t dim_in() const override { return mean_.size(); }
    size_t dim_out(size_t dim_in) const override { return dim_in; }
    void apply(const Rows& in, float* out) const override;
    bool is_invertible() const override { return true; }
    void invert(const float* in, size_t n, float* out) const override;
    const std::vector<float>& mean() const { return mean_; }

  private:
    std::vector<float> mean_;
};

}  // namespace annkit
