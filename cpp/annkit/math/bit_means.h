// k-means of packed codes: of rows of +1 and -1, whose squared distances are four times the codes' Hamming distances;
// the signs of the means are codes again.
#pragma once

#include "annkit/core/part.h"
#include "annkit/math/nearest_codes.h"

namespace annkit {

// The k codes that at most 256 rows a code teach. ValueError where there are fewer rows than codes.
NearestCodes bit_means(const Rows& bits, size_t k, size_t rounds, const Fit& fit);

}  // namespace annkit
