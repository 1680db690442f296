// Mean and covariance of rows, on the product kernels. The same for any number of threads.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

struct Mean {
    std::vector<double> values;
    float largest = 0;  // magnitude of any entry
};
// Of the chosen rows; double sums.
Mean mean_of(const Rows& rows, std::span<const size_t> chosen, const Call& call);

struct Moments {
    std::vector<double> mean;
    std::vector<double> covariance;  // dim x dim, only the lower half (column <= row); divided by the rows less one
    double variance() const;         // over all dimensions
};
Moments moments_of(const Rows& rows, std::span<const size_t> chosen, const Call& call);

}  // namespace annkit
