// The rows of a training set by the centroid they are assigned to: means, costs, and repair of empty cells. Sums run
// over the rows in order, in pieces of fixed size: the same for any number of threads. They stay from round to round,
// so that a cell only reads the rows that came and those that left: from the third round on most rows stay, and
// reading them all is bound by memory, which more threads do not make faster.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/random.h"
#include "annkit/math/training_rows.h"

namespace annkit {

class Cells {
  public:
    static constexpr uint32_t kNowhere = UINT32_MAX;

    // normalise: centroids are the directions of the means.
    Cells(const TrainingRows& rows, size_t k, bool normalise);

    size_t k() const { return counts_.size(); }
    size_t count(size_t cell) const { return counts_[cell]; }

    // Moves each centroid to the mean of its rows, normalised if wanted. An empty cell, or one whose rows cancel out,
    // keeps its centroid. Then measures the sums of squared distances. before: what the rows were assigned to in the
    // last call; in the first, kNowhere.
    void update(std::span<const uint32_t> before, std::span<const uint32_t> assigned, std::span<float> centroids,
                const Call& call);
    double cost(size_t cell) const { return costs_[cell]; }
    double cost() const;     // of all
    double product() const;  // the sum of inner products of rows with their centroids

    // Gives each empty cell a random row of the cell that costs most, whose cost then counts half. Returns how many.
    size_t fill_empty(std::span<const uint32_t> assigned, std::span<float> centroids, Random& random);

  private:
    // Rows, cell by cell. Of a cell's changes, rows come, then others leave.
    struct Lists {
        std::vector<uint32_t> rows, starts;
    };
    struct Changes : Lists {
        std::vector<uint32_t> leaving;
    };
    struct Piece {
        uint32_t cell, first, last;
        size_t other;
    };
    struct Stretch;
    Changes compare(std::span<const uint32_t> before, std::span<const uint32_t> assigned, const Call& call);
    void renew(size_t cell, const float* centroid);
    double sum(size_t cell, std::span<const uint32_t> rows, double* out) const;
    double apply(const Changes& changes, const Piece& piece, double* out) const;
    void move(size_t cell, float* centroid);
    Lists list(std::span<const uint32_t> assigned) const;

    const TrainingRows& rows_;
    bool normalise_;
    std::vector<uint32_t> counts_;
    std::vector<uint8_t> renewed_;  // whose sums start anew
    // Of each cell: a point, its rows' differences from there, summed, and the sum of their squares. The point is where
    // the centroid was once, so that little cancels; the origin, if centroids are normalised.
    std::vector<float> points_;
    std::vector<double> sums_, squares_, costs_, products_;
};

// Scales a row to length 1; a row of zeros stays.
void normalise_row(std::span<float> row);

}  // namespace annkit
