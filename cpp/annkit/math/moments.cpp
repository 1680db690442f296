#include "annkit/math/moments.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <type_traits>

#include "annkit/math/gram.h"
#include "annkit/math/sample.h"

namespace annkit {
namespace {

constexpr size_t kTask = 64;  // rows a thread takes at a time

// Squares of what may be as large as 1e18, or as small as 1e-30, have to stay floats: a power of two scales them.
// What rows come to, less shift and times 2^-exponent.
class Scaled {
  public:
    Scaled(const Mean& mean)
        : shift_(mean.values.begin(), mean.values.end()),
          exponent_(mean.largest > 0 ? std::clamp(std::ilogb(mean.largest), -100, 100) : 0),
          sums_(shift_.size()),
          gram_(shift_.size()) {}
    void add(const Rows& rows, std::span<const size_t> chosen, const Call& call);
    // Whether the rows were as large as expected: their squares are floats then.
    bool fits() const { return trace() < 0x1p60; }
    Moments moments(double n);

  private:
    void convert(const Rows& rows, std::span<const size_t> block, size_t first, size_t last, float* part);
    void check_rows(const Rows& rows, std::span<const size_t> chosen, double norm2) const;
    double trace() const {
        double sum = 0;
        for (size_t j = 0; j < sums_.size(); ++j) sum += gram_.sums()[j * sums_.size() + j];
        return sum;
    }

    std::vector<float> shift_;
    int exponent_;
    std::vector<double> sums_;
    Gram gram_;
};

// A panel's width of kRows rows to out, and into the sums of their columns. Where the width is that of a panel the
// compiler makes vectors of it; four rows share a store of the sums.
template <size_t kRows>
[[gnu::always_inline]] inline void convert_panel(const float* const* x, const float* __restrict shift, float scale,
                                                 size_t width, float* __restrict out, size_t lanes,
                                                 float* __restrict part) {
    static_assert(kRows == 1 || kRows == 4);
    for (size_t j = 0; j < width; ++j) {
        const float a = (x[0][j] - shift[j]) * scale;
        out[j] = a;
        if constexpr (kRows == 1) {
            part[j] += a;
        } else {
            const float b = (x[1][j] - shift[j]) * scale, c = (x[2][j] - shift[j]) * scale;
            const float d = (x[3][j] - shift[j]) * scale;
            out[lanes + j] = b, out[2 * lanes + j] = c, out[3 * lanes + j] = d;
            part[j] += (a + b) + (c + d);
        }
    }
    for (size_t j = width; j < lanes; ++j)
        for (size_t r = 0; r < kRows; ++r) out[r * lanes + j] = 0;
}

// Rows first to last of a block.
void Scaled::convert(const Rows& rows, std::span<const size_t> block, size_t first, size_t last, float* part) {
    const size_t dim = rows.dim, lanes = gram_.lanes();
    const float scale = std::ldexp(1.0f, -exponent_);
    const bool in_place = FloatBlock::in_place(rows);
    std::vector<float> copy(in_place ? 0 : (last - first) * dim);
    if (!in_place) gather_rows(rows, &block[first], last - first, copy.data());
    const auto row = [&](size_t i) {
        return in_place ? reinterpret_cast<const float*>(rows.row(block[i])) : &copy[(i - first) * dim];
    };
    const auto each_panel = [&]<size_t kRows>(size_t i, std::integral_constant<size_t, kRows>) {
        const float *from[kRows], *x[kRows];
        for (size_t r = 0; r < kRows; ++r) from[r] = row(i + r);
        for (size_t j = 0; j < dim; j += lanes) {
            for (size_t r = 0; r < kRows; ++r) x[r] = from[r] + j;
            float* out = gram_.block() + j * block.size() + i * lanes;
            if (lanes == 16 && j + 16 <= dim)
                convert_panel<kRows>(x, &shift_[j], scale, 16, out, 16, part + j);
            else
                convert_panel<kRows>(x, &shift_[j], scale, std::min(lanes, dim - j), out, lanes, part + j);
        }
    };
    size_t i = first;
    for (; i + 4 <= last; i += 4) each_panel(i, std::integral_constant<size_t, 4>());
    for (; i < last; ++i) each_panel(i, std::integral_constant<size_t, 1>());
}

// The sum of their squares shows whether a row may be one that is not taken: gather_rows names it.
void Scaled::check_rows(const Rows& rows, std::span<const size_t> chosen, double norm2) const {
    double shift2 = 0;
    for (float value : shift_) shift2 += double(value) * double(value);
    const double most = std::sqrt(shift2) + std::sqrt(norm2) * std::ldexp(1.0, exponent_);
    if (most * most <= double(FLT_MAX) / 8) return;
    std::vector<float> copy(rows.dim);
    for (size_t one : chosen) gather_rows(rows, &one, 1, copy.data());
}

void Scaled::add(const Rows& rows, std::span<const size_t> chosen, const Call& call) {
    const size_t dim = rows.dim, n = chosen.size();
    std::vector<float> parts((Gram::kRows + kTask - 1) / kTask * dim);
    for (size_t first = 0; first < n; first += Gram::kRows) {
        const std::span some = chosen.subspan(first, std::min(Gram::kRows, n - first));
        const size_t tasks = (some.size() + kTask - 1) / kTask;
        std::fill(parts.begin(), parts.end(), 0.0f);
        parallel_for(tasks, threads_for(call, 4.0 * double(some.size() * dim)), call, [&](size_t task, int) {
            convert(rows, some, task * kTask, std::min((task + 1) * kTask, some.size()), &parts[task * dim]);
        });
        for (size_t task = 0; task < tasks; ++task)
            for (size_t j = 0; j < dim; ++j) sums_[j] += double(parts[task * dim + j]);
        const double before = trace();
        gram_.add(some.size(), call);
        check_rows(rows, some, trace() - before);
    }
}

// What the shift was off by goes out.
Moments Scaled::moments(double n) {
    const size_t dim = sums_.size();
    const double unit = std::ldexp(1.0, exponent_), over = unit * unit / std::max(n - 1, 1.0);
    Moments out{std::vector<double>(dim), std::move(gram_.sums())};
    for (size_t i = 0; i < dim; ++i) {
        out.mean[i] = double(shift_[i]) + sums_[i] / n * unit;
        for (size_t j = 0; j <= i; ++j) {
            double& value = out.covariance[i * dim + j];
            value = (value - sums_[i] * sums_[j] / n) * over;
        }
    }
    return out;
}

}  // namespace

Mean mean_of(const Rows& rows, std::span<const size_t> chosen, const Call& call) {
    constexpr size_t kRowsATask = 1024;
    const size_t dim = rows.dim, tasks = (chosen.size() + kRowsATask - 1) / kRowsATask;
    std::vector<double> parts(tasks * dim);
    std::vector<float> largest(tasks);
    parallel_for(tasks, threads_for(call, 4.0 * double(chosen.size()) * double(dim)), call, [&](size_t task, int) {
        const size_t first = task * kRowsATask, count = std::min(kRowsATask, chosen.size() - first);
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

// In one pass, less the mean of some rows; in two where those gave a wrong idea of how large the others are.
Moments moments_of(const Rows& rows, std::span<const size_t> chosen, const Call& call) {
    constexpr size_t kSome = 1024;
    std::vector<size_t> some;
    for (size_t i = 0; i < chosen.size(); i += (chosen.size() + kSome - 1) / kSome) some.push_back(chosen[i]);
    const Mean start = mean_of(rows, some, call);
    const auto n = double(chosen.size());
    if (start.largest > 0) {
        Scaled all(start);
        all.add(rows, chosen, call);
        if (all.fits()) return all.moments(n);
    }
    Scaled all(mean_of(rows, chosen, call));
    all.add(rows, chosen, call);
    return all.moments(n);
}

}  // namespace annkit
