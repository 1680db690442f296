// Assigns the rows of a training set to centroids in bytes, several times as fast as in floats: good enough while
// k-means trains, as what it gets wrong are centroids that are about equally near.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/math/training_rows.h"

namespace annkit {

class ByteAssigner {
  public:
    static bool pays(const TrainingRows& rows, size_t k);

    // Rounds the rows around their middle, those of a panel with one scale.
    ByteAssigner(const TrainingRows& rows, const Call& call);
    // Sums of squares: what rounding took from the rows, and their distances from the middle.
    double lost() const { return lost_; }
    double spread() const { return spread_; }
    // By |x - c|^2 + penalty; penalty may be empty.
    void assign(std::span<const float> centroids, std::span<const float> penalty, uint32_t* assigned,
                const Call& call) const;

  private:
    struct Tiles;  // centroids, rounded
    void round_panel(const TrainingRows& rows, size_t panel, double& lost, double& spread);
    void assign_panels(const Tiles& tiles, size_t first, size_t last, uint32_t* assigned) const;

    size_t n_, dim_, panel_bytes_;
    std::vector<float> center_, scales_;  // scales: one a panel
    Buffer panels_;
    double lost_ = 0, spread_ = 0;
};

}  // namespace annkit
