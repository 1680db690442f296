// Assigns the rows of a training set to centroids in bytes, several times as fast as in floats: good enough while
// k-means trains, as what it gets wrong are centroids that are about equally near.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"
#include "annkit/simd/kernels.h"

namespace annkit {

class ByteAssigner {
  public:
    static bool pays(size_t dim, size_t k);
    struct Points {
        const float* data;
        size_t n, dim, stride;  // in floats
        const float* row(size_t i) const { return data + i * stride; }
    };
    // Rows of one task: a multiple of those that a kernel takes at once.
    static constexpr size_t kStep = 8 * simd::kMaxLanes;

    // Centroids, rounded. score = |c - center|^2 - 2 (x - center).(c - center), which is |x - c|^2 up to a term of x
    // alone.
    struct Tiles {
        size_t k = 0, stride = 0;
        std::vector<float> mul, add;
        Buffer packed;
    };

    // Rounds the rows around their middle, those of a panel with one scale.
    ByteAssigner(const Points& rows, const Call& call);
    // The sum of the rows' squared distances from their middle, the center.
    double spread() const { return spread_; }
    const std::vector<float>& center() const { return center_; }
    // Rows rounded to bytes will do as long as rounding moves them little, seen from their centroids: by 1 % of the
    // squared distances. cost: the sum of these.
    bool will_do(double cost) const { return lost_ <= kMostLost * cost; }
    // By |x - c|^2 + penalty; penalty may be empty.
    void assign(std::span<const float> centroids, std::span<const float> penalty, uint32_t* assigned,
                const Call& call) const;
    // The same in parts: rows [first, last), with first a multiple of simd::kMaxLanes.
    Tiles round(std::span<const float> centroids, std::span<const float> penalty) const;
    void assign(const Tiles& tiles, size_t first, size_t last, uint32_t* assigned) const;

  private:
    static constexpr double kMostLost = 0.01;
    void round_panel(const Points& rows, size_t panel, double& lost, double& spread);
    void assign_panels(const Tiles& tiles, size_t first, size_t last, float* best, uint32_t* nearest) const;

    size_t n_, dim_, panel_bytes_;
    std::vector<float> center_, scales_;  // scales: one a panel
    Buffer panels_;
    double lost_ = 0, spread_ = 0;  // lost: sum of squares that rounding took from the rows
};

}  // namespace annkit
