// Rows as the codecs of an index see them. Those of length one are for cosine over codecs that know inner products
// only: the distance is then 1 + score.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/metric.h"
#include "annkit/core/rows.h"

namespace annkit {

// Scaled to length one (zeros stay), or less a point, unless that is empty; otherwise as they are.
class InnerRows {
  public:
    InnerRows(const Rows& rows, bool unit, std::string_view what, std::span<const float> center = {});
    const Rows& rows() const { return rows_; }

  private:
    std::vector<float> changed_;
    Rows rows_;
};

// The distance of a score of unit rows, and the largest score whose distance lies within the radius.
inline float unit_distance(float score) { return std::clamp(1.0f + score, 0.0f, 2.0f); }
float unit_score_within(float radius);

}  // namespace annkit
