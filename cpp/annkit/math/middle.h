// A point near which most rows lie, however far away a few of them are: what rows are taken from before they are
// rounded, or before small differences between them are computed.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "annkit/core/rows.h"

namespace annkit {

struct Middle {
    std::vector<float> point;
    double reach2 = 0;  // the square of the distance within which half of the rows lie
};

Middle middle_of(std::span<const float* const> rows, size_t dim);

// Of so many of n rows, which lie apart.
inline constexpr size_t kMiddleRows = 33;
template <class Row>
Middle middle_of(size_t n, size_t dim, const Row& row) {
    std::vector<const float*> some(std::min(n, kMiddleRows));
    for (size_t i = 0; i < some.size(); ++i) some[i] = row(i * n / some.size());
    return middle_of(some, dim);
}
Middle middle_of(const Rows& rows);  // ValueError where one that is looked at is not finite

// The middle of rows that lie far from the origin, nothing of others. |x - y|^2 is put together of products, which lose
// digits where rows are far larger than what they differ by. Nearer rows stay as they are, and so do all if some lie
// near the origin: those would lose what the others gain.
std::vector<float> center_of_far(const Rows& rows);

}  // namespace annkit
