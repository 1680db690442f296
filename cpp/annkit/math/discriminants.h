// Linear discriminants: the directions along which classes differ most. The same as canonical correlation of rows with
// the classes' indicators (Bartlett: Further aspects of the theory of multiple regression, 1938).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

struct Discriminants {
    std::vector<double> mean;
    std::vector<double> directions;  // of dim, a row each; the variance of all rows along each is 1
    // Of that variance, what lies between the classes, largest first: squared canonical correlations.
    std::vector<double> shares;
};
// Of the chosen rows; labels: a class for each row. At most `wanted` directions, and one less than there are classes.
// ValueError unless there are two classes. A ridge keeps directions without variance out.
Discriminants discriminants_of(const Rows& rows, std::span<const size_t> chosen, std::span<const int64_t> labels,
                               size_t wanted, const Call& call);

}  // namespace annkit
