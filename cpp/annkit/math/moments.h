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
// Rows that are not finite are a ValueError: if chosen, which rise, or any at all. Looking at a row is cheap just
// before it is added, and takes its own time where that is done for all of them first.
enum class Look { at_chosen, at_all };
Moments moments_of(const Rows& rows, std::span<const size_t> chosen, const Call& call, Look look = Look::at_chosen);

}  // namespace annkit
