#include "annkit/math/wide_dimensions.h"

#include <algorithm>
#include <numeric>

namespace annkit {

std::vector<uint32_t> wide_dimensions(std::span<const double> weights, double times, size_t most) {
    const size_t dim = weights.size(), looked_at = std::min(most + 1, dim);
    std::vector<uint32_t> order(dim);
    std::iota(order.begin(), order.end(), 0u);
    std::partial_sort(order.begin(), order.begin() + ptrdiff_t(looked_at), order.end(), [&](uint32_t a, uint32_t b) {
        return weights[a] != weights[b] ? weights[a] > weights[b] : a < b;
    });
    double rest2 = 0;
    for (size_t i = dim; i-- > looked_at;) rest2 += weights[order[i]] * weights[order[i]];
    size_t n = looked_at;
    for (; n > 0; --n) {
        const double weight2 = weights[order[n - 1]] * weights[order[n - 1]];
        if (weight2 * double(dim - n) > times * times * rest2) break;
        rest2 += weight2;
    }
    if (n > most) n = weights[order[0]] > times * weights[order[n - 1]] ? n - 1 : 0;
    order.resize(n);
    std::sort(order.begin(), order.end());
    return order;
}

}  // namespace annkit
