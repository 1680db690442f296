#include "annkit/math/moments.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "annkit/core/memory.h"
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
    void convert(const Rows& rows, std::span<const size_t> chosen, float* out, float* part) const;
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

// Four rows to out, and into the sums of their columns. The compiler makes vectors of it; a sum is stored once for
// four.
void convert_four(const float* const x[4], const float* __restrict shift, float scale, size_t dim,
                  float* __restrict out, float* __restrict part) {
    const float *a = x[0], *b = x[1], *c = x[2], *d = x[3];
    float *to_a = out, *to_b = out + dim, *to_c = out + 2 * dim, *to_d = out + 3 * dim;
    for (size_t j = 0; j < dim; ++j) {
        const float va = (a[j] - shift[j]) * scale, vb = (b[j] - shift[j]) * scale;
        const float vc = (c[j] - shift[j]) * scale, vd = (d[j] - shift[j]) * scale;
        to_a[j] = va, to_b[j] = vb, to_c[j] = vc, to_d[j] = vd;
        part[j] += (va + vb) + (vc + vd);
    }
}

void Scaled::convert(const Rows& rows, std::span<const size_t> chosen, float* out, float* part) const {
    const size_t dim = rows.dim;
    const float scale = std::ldexp(1.0f, -exponent_);
    const bool in_place = FloatBlock::in_place(rows);
    std::vector<float> copy(in_place ? 0 : chosen.size() * dim);
    if (!in_place) gather_rows(rows, chosen.data(), chosen.size(), copy.data());
    const auto row = [&](size_t i) {
        return in_place ? reinterpret_cast<const float*>(rows.row(chosen[i])) : &copy[i * dim];
    };
    size_t i = 0;
    for (; i + 4 <= chosen.size(); i += 4) {
        const float* const x[] = {row(i), row(i + 1), row(i + 2), row(i + 3)};
        convert_four(x, shift_.data(), scale, dim, out + i * dim, part);
    }
    for (; i < chosen.size(); ++i)
        for (size_t j = 0; j < dim; ++j) part[j] += out[i * dim + j] = (row(i)[j] - shift_[j]) * scale;
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
    const Buffer memory = allocate(std::min(n, Gram::kRows) * dim * sizeof(float));
    auto* block = reinterpret_cast<float*>(memory.get());
    std::vector<float> parts((Gram::kRows + kTask - 1) / kTask * dim);
    for (size_t first = 0; first < n; first += Gram::kRows) {
        const std::span some = chosen.subspan(first, std::min(Gram::kRows, n - first));
        const size_t tasks = (some.size() + kTask - 1) / kTask;
        std::fill(parts.begin(), parts.end(), 0.0f);
        parallel_for(tasks, threads_for(call, 4.0 * double(some.size() * dim)), call, [&](size_t task, int) {
            const size_t from = task * kTask;
            convert(rows, some.subspan(from, std::min(kTask, some.size() - from)), block + from * dim,
                    &parts[task * dim]);
        });
        for (size_t task = 0; task < tasks; ++task)
            for (size_t j = 0; j < dim; ++j) sums_[j] += double(parts[task * dim + j]);
        const double before = trace();
        gram_.add(block, some.size(), call);
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
