// Rows of length one, for cosine over codecs that know inner products only: the distance is then 1 + score.
#pragma once

#include <vector>

#include "annkit/core/metric.h"
#include "annkit/core/rows.h"

namespace annkit {

// Rows as the codecs of an index see them: scaled to length one for cosine (zeros stay), otherwise as they are.
class InnerRows {
  public:
    InnerRows(const Rows& rows, bool unit, std::string_view what);
    const Rows& rows() const { return rows_; }

  private:
    std::vector<float> scaled_;
    Rows rows_;
};

// The distance of a score of unit rows, and the largest score whose distance lies within the radius.
inline float unit_distance(float score) { return std::clamp(1.0f + score, 0.0f, 2.0f); }
float unit_score_within(float radius);

}  // namespace annkit
