// The rows of a training set by the centroid they are assigned to: means, costs, and repair of empty cells. Sums run
// over the rows in order, in pieces of fixed size: the same for any number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/random.h"
#include "annkit/math/training_rows.h"

namespace annkit {

class Cells {
  public:
    Cells(const TrainingRows& rows, std::span<const uint32_t> assigned, size_t k);

    size_t k() const { return starts_.size() - 1; }
    size_t count(size_t cell) const { return starts_[cell + 1] - starts_[cell]; }

    // Moves each centroid to the mean of its rows, normalised if wanted. An empty cell, or one whose rows cancel out,
    // keeps its centroid. Then measures the sums of squared distances.
    void update(std::span<float> centroids, bool normalise, const Call& call);
    double cost(size_t cell) const { return costs_[cell]; }
    double cost() const;                         // of all
    double product() const { return product_; }  // the sum of inner products of rows with their centroids

    // Gives each empty cell a random row of the cell that costs most, whose cost then counts half. Returns how many.
    size_t fill_empty(std::span<float> centroids, bool normalise, Random& random);

  private:
    struct Piece {
        uint32_t cell, first, last;
    };
    double sum(const Piece& piece, const float* point, double* out) const;

    const TrainingRows& rows_;
    std::vector<uint32_t> starts_, order_;
    std::vector<Piece> pieces_;
    std::vector<double> costs_;
    double product_ = 0;
};

// Scales a row to length 1; a row of zeros stays.
void normalise_row(std::span<float> row);

}  // namespace annkit
