#include "annkit/math/moments.h"

#include <algorithm>
#include <cmath>

#include "annkit/math/product.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

constexpr size_t kTask = 64;  // rows a thread converts at a time

// Runs take(first, floats, count) over blocks of kOuterRows rows, minus shift (unless empty) and times scale.
template <class F>
void each_block(const Rows& rows, std::span<const size_t> chosen, std::span<const float> shift, float scale,
                const Call& call, F&& take) {
    const size_t dim = rows.dim;
    std::vector<float> block(std::min(chosen.size(), kOuterRows) * dim);
    for (size_t first = 0; first < chosen.size(); first += kOuterRows) {
        const size_t count = std::min(kOuterRows, chosen.size() - first);
        parallel_for((count + kTask - 1) / kTask, threads_for(call, 4.0 * double(count * dim)), call,
                     [&](size_t task, int) {
                         const size_t from = task * kTask, n = std::min(kTask, count - from);
                         float* out = &block[from * dim];
                         gather_rows(rows, &chosen[first + from], n, out);
                         for (size_t i = 0; i < n && !shift.empty(); ++i, out += dim)
                             for (size_t j = 0; j < dim; ++j) out[j] = (out[j] - shift[j]) * scale;
                     });
        take(first, block.data(), count);
    }
}

}  // namespace

Mean mean_of(const Rows& rows, std::span<const size_t> chosen, const Call& call) {
    const size_t dim = rows.dim, tasks = (chosen.size() + kOuterRows - 1) / kOuterRows;
    std::vector<double> parts(tasks * dim);
    std::vector<float> largest(tasks);
    parallel_for(tasks, threads_for(call, 4.0 * double(chosen.size()) * double(dim)), call, [&](size_t task, int) {
        const size_t first = task * kOuterRows, count = std::min(kOuterRows, chosen.size() - first);
        std::vector<float> block(kTask * dim);
        for (size_t from = 0; from < count; from += kTask) {
            const size_t n = std::min(kTask, count - from);
            gather_rows(rows, &chosen[first + from], n, block.data());
            for (size_t i = 0; i < n; ++i)
                for (size_t j = 0; j < dim; ++j) parts[task * dim + j] += double(block[i * dim + j]);
            for (size_t i = 0; i < n * dim; ++i) largest[task] = std::max(largest[task], std::abs(block[i]));
        }
    });
    Mean mean{std::vector<double>(dim)};
    for (size_t task = 0; task < tasks; ++task) {
        for (size_t j = 0; j < dim; ++j) mean.values[j] += parts[task * dim + j];
        mean.largest = std::max(mean.largest, largest[task]);
    }
    for (double& value : mean.values) value /= double(chosen.size());
    return mean;
}

std::vector<double> covariance_of(const Rows& rows, std::span<const size_t> chosen, const Mean& mean,
                                  const Call& call) {
    const size_t dim = rows.dim, n = chosen.size();
    const std::vector<float> shift(mean.values.begin(), mean.values.end());
    // Squares of what may be as large as 1e18, or as small as 1e-30, have to stay floats: a power of two scales them.
    const int exponent = mean.largest > 0 ? std::clamp(std::ilogb(mean.largest), -100, 100) : 0;
    const float scale = std::ldexp(1.0f, -exponent);
    std::vector<double> sums(dim * dim);
    each_block(rows, chosen, shift, scale, call,
               [&](size_t, const float* x, size_t count) { add_outer({x, dim, x, dim, count, true}, sums, call); });
    // The mean was rounded to float: what is left of it adds its own square.
    const double unit = std::ldexp(1.0, 2 * exponent) / double(std::max<size_t>(n - 1, 1));
    for (size_t i = 0; i < dim; ++i)
        for (size_t j = 0; j <= i; ++j) {
            const double rest = (mean.values[i] - double(shift[i])) * (mean.values[j] - double(shift[j]));
            sums[i * dim + j] = sums[i * dim + j] * unit - rest * double(n) / double(std::max<size_t>(n - 1, 1));
        }
    return sums;
}

}  // namespace annkit
