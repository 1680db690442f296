// y = A (x - mean): what most transforms learn, with the product, its way back and its storage.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "annkit/core/rows.h"
#include "annkit/math/product.h"

namespace annkit {

class Reader;
class Writer;

// Cheap to copy: copies share the matrix.
class Affine {
  public:
    Affine() = default;
    // matrix: outputs x inputs, row-major; mean: of inputs, or empty for none. ValueError unless all is finite. folds:
    // A mean is taken from A x, which saves rows a pass.
    Affine(std::vector<float> matrix, size_t outputs, size_t inputs, std::vector<float> mean = {}, bool folds = false);
    // Whether that is as good as exact: what is rounded off grows with the mean. variance: of rows, over all
    // dimensions.
    static bool folds_well(std::span<const float> mean, double variance);

    bool empty() const { return matrix_ == nullptr; }
    size_t inputs() const { return packed_.inputs(); }
    size_t outputs() const { return packed_.outputs(); }
    const std::vector<float>& matrix() const { return *matrix_; }
    const std::vector<float>& mean() const { return mean_; }
    bool folds() const { return !start_.empty(); }
    size_t nbytes() const {
        return packed_.nbytes() + ((empty() ? 0 : matrix_->size()) + mean_.size() + start_.size()) * sizeof(float);
    }

    void apply(const Rows& in, float* out) const;
    // Where the matrix's rows are orthogonal to each other, whatever their lengths: the row nearest to the mean that
    // gives y. Directions of length zero come back as the mean.
    void invert(const float* in, size_t n, float* out) const;

    void save(Writer& out) const;
    static Affine load(const Reader& in, size_t outputs, size_t inputs);

  private:
    std::shared_ptr<const std::vector<float>> matrix_;
    std::vector<float> mean_, start_;  // start: -A mean, where that is added to A x
    PackedMatrix packed_;
};

}  // namespace annkit
