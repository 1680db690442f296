#include "annkit/math/middle.h"

#include "annkit/math/sample.h"

namespace annkit {

// In each dimension the mean of the middle half.
Middle middle_of(std::span<const float* const> rows, size_t dim) {
    Middle middle{std::vector<float>(dim)};
    if (rows.empty()) return middle;
    const size_t n = rows.size(), first = n / 4, last = n - first;
    std::vector<float> values(n);
    std::vector<double> distances(n);
    for (size_t j = 0; j < dim; ++j) {
        for (size_t i = 0; i < n; ++i) values[i] = rows[i][j];
        std::sort(values.begin(), values.end());
        double sum = 0;
        for (size_t i = first; i < last; ++i) sum += values[i];
        middle.point[j] = float(sum / double(last - first));
        for (size_t i = 0; i < n; ++i) {
            const double off = double(rows[i][j]) - middle.point[j];
            distances[i] += off * off;
        }
    }
    std::nth_element(distances.begin(), distances.begin() + ptrdiff_t(n / 2), distances.end());
    middle.reach2 = distances[n / 2];
    return middle;
}

Middle middle_of(const Rows& rows) {
    const size_t n = std::min(rows.n, kMiddleRows);
    std::vector<size_t> chosen(n);
    for (size_t i = 0; i < n; ++i) chosen[i] = i * rows.n / n;
    std::vector<float> values(n * rows.dim);
    gather_rows(rows, chosen.data(), n, values.data());
    return middle_of(n, rows.dim, [&](size_t i) { return &values[i * rows.dim]; });
}

}  // namespace annkit
