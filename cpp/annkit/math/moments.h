// Mean and covariance of rows, on the product kernels. The same for any number of threads.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

// Of the chosen rows; double sums.
std::vector<double> mean_of(const Rows& rows, std::span<const size_t> chosen, const Call& call);

// dim x dim, only the lower half (column <= row) filled; divided by the number of rows less one.
std::vector<double> covariance_of(const Rows& rows, std::span<const size_t> chosen, std::span<const double> mean,
                                  const Call& call);

}  // namespace annkit
