// Where k-means starts.
#pragma once

#include <vector>

#include "annkit/math/training_rows.h"

namespace annkit {

// k different rows at random.
std::vector<float> random_start(const TrainingRows& rows, size_t k, uint64_t seed);

// k-means++ (Arthur and Vassilvitskii: k-means++, the advantages of careful seeding, 2007): each centroid is a row
// drawn with a chance that grows with its squared distance from those before. Looks at 32 * k of the rows at most, as k
// passes over all of them would take longer than training. Directions alone count if normalise.
std::vector<float> plus_plus_start(const TrainingRows& rows, size_t k, bool normalise, const Fit& fit);

}  // namespace annkit
