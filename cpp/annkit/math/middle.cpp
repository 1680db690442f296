#include "annkit/math/middle.h"

#include <cstring>

#include "annkit/math/sample.h"

namespace annkit {
namespace {

constexpr size_t kTogether = 4;  // dimensions, whose values are a vector

// Each column in rising order: neighbours trade places by turns. Sorting each by itself takes several times as long.
using Four = float __attribute__((vector_size(16)));
void sort_columns(std::span<Four> rows) {
    for (size_t turn = 0; turn < rows.size(); ++turn)
        for (size_t i = turn % 2; i + 1 < rows.size(); i += 2) {
            const Four a = rows[i], b = rows[i + 1];
            rows[i] = b < a ? b : a;
            rows[i + 1] = b < a ? a : b;
        }
}

}  // namespace

// In each dimension the mean of the middle half.
Middle middle_of(std::span<const float* const> rows, size_t dim) {
    Middle middle{std::vector<float>(dim)};
    if (rows.empty()) return middle;
    const size_t n = rows.size(), first = n / 4, last = n - first;
    std::vector<Four> values(n);
    std::vector<double> distances(n);
    for (size_t from = 0; from < dim; from += kTogether) {
        const size_t some = std::min(kTogether, dim - from);
        for (size_t i = 0; i < n; ++i) std::memcpy(&values[i], rows[i] + from, some * sizeof(float));
        sort_columns(values);
        double sums[kTogether] = {};
        for (size_t i = first; i < last; ++i)
            for (size_t j = 0; j < kTogether; ++j) sums[j] += double(values[i][j]);
        for (size_t j = 0; j < some; ++j) middle.point[from + j] = float(sums[j] / double(last - first));
        for (size_t i = 0; i < n; ++i)
            for (size_t j = from; j < from + some; ++j) {
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

std::vector<float> center_of_far(const Rows& rows) {
    constexpr double kFar = 32;
    Middle middle = middle_of(rows);
    double norm2 = 0;
    for (const float x : middle.point) norm2 += double(x) * double(x);
    if (norm2 <= kFar * kFar * middle.reach2) return {};
    constexpr size_t kRows = 1024;
    const size_t n = std::min(rows.n, kRows);
    for (size_t i = 0; i < n; ++i) {
        const FloatView one(rows.slice(i * rows.n / n, 1));
        double from_origin = 0, from_middle = 0;
        for (size_t j = 0; j < rows.dim; ++j) {
            const double x = one.row(0)[j], off = x - middle.point[j];
            from_origin += x * x;
            from_middle += off * off;
        }
        if (from_middle > 4 * from_origin) return {};
    }
    return std::move(middle.point);
}

}  // namespace annkit
