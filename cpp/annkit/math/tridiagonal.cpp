#include "annkit/math/tridiagonal.h"

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>

#include "annkit/core/random.h"

namespace annkit {
namespace {

double dot(const double* a, const double* b, size_t n) {
    double sum[4] = {};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t t = 0; t < 4; ++t) sum[t] += a[i + t] * b[i + t];
    for (; i < n; ++i) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// As many values at a time as the compiler makes vectors of.
constexpr size_t kTogether = 8;

// How many eigenvalues lie below each x: negative pivots of T - x I. squares[i] = next_to[i - 1]^2.
void count_below(std::span<const double> diagonal, const double* squares, double least, const double* x,
                 double* below) {
    double pivot[kTogether];
    for (size_t t = 0; t < kTogether; ++t) pivot[t] = 1, below[t] = 0;
    for (size_t i = 0; i < diagonal.size(); ++i)
        for (size_t t = 0; t < kTogether; ++t) {
            const double next = (diagonal[i] - x[t]) - squares[i] / pivot[t];
            pivot[t] = std::abs(next) < least ? -least : next;
            below[t] += pivot[t] < 0 ? 1.0 : 0.0;
        }
}

// The largest sum of magnitudes in a row.
double norm_of(std::span<const double> diagonal, std::span<const double> next_to) {
    const size_t n = diagonal.size();
    double norm = 0;
    for (size_t i = 0; i < n; ++i)
        norm = std::max(norm, std::abs(diagonal[i]) + (i > 0 ? std::abs(next_to[i - 1]) : 0) +
                                  (i + 1 < n ? std::abs(next_to[i]) : 0));
    return norm;
}

// T - value I = P L U: rows trade places with the next where that has the larger entry, so U has two diagonals above.
class Shifted {
  public:
    Shifted(std::span<const double> diagonal, std::span<const double> next_to, double value, double least) {
        const size_t n = diagonal.size();
        rows_.resize(n);
        double now = diagonal[0] - value, beside = n > 1 ? next_to[0] : 0;  // what is left of the row at hand
        for (size_t i = 0; i + 1 < n; ++i) {
            const double below = next_to[i], own = diagonal[i + 1] - value, after = i + 2 < n ? next_to[i + 1] : 0;
            if (std::abs(below) > std::abs(now)) {
                const double times = now / below;
                rows_[i] = {below, own, after, times, true};
                now = beside - times * own;
                beside = -times * after;
            } else {
                const double pivot = std::abs(now) < least ? std::copysign(least, now) : now, times = below / pivot;
                rows_[i] = {pivot, beside, 0, times, false};
                now = own - times * beside;
                beside = after;
            }
        }
        rows_[n - 1] = {std::abs(now) < least ? std::copysign(least, now) : now, 0, 0, 0, false};
    }

    void solve(double* x) const {
        const size_t n = rows_.size();
        for (size_t i = 0; i + 1 < n; ++i) {
            if (rows_[i].traded) std::swap(x[i], x[i + 1]);
            x[i + 1] -= rows_[i].times * x[i];
        }
        for (size_t i = n; i-- > 0;) {
            double value = x[i];
            if (i + 1 < n) value -= rows_[i].beside * x[i + 1];
            if (i + 2 < n) value -= rows_[i].after * x[i + 2];
            x[i] = value / rows_[i].pivot;
        }
    }

  private:
    struct Row {
        double pivot, beside, after;
        double times;  // so much of it was taken from the next
        bool traded;
    };
    std::vector<Row> rows_;
};

void normalise(double* x, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
    for (size_t i = 0; i < n; ++i) x[i] /= largest;  // its square would overflow
    const double norm = std::sqrt(dot(x, x, n));
    for (size_t i = 0; i < n; ++i) x[i] /= norm;
}

double residual(std::span<const double> diagonal, std::span<const double> next_to, double value, const double* x) {
    const size_t n = diagonal.size();
    double most = 0;
    for (size_t i = 0; i < n; ++i) {
        double out = (diagonal[i] - value) * x[i];
        if (i > 0) out += next_to[i - 1] * x[i - 1];
        if (i + 1 < n) out += next_to[i] * x[i + 1];
        most = std::max(most, std::isfinite(out) ? std::abs(out) : HUGE_VAL);
    }
    return most;
}

}  // namespace

std::vector<double> tridiagonal_values(std::span<const double> diagonal, std::span<const double> next_to, size_t wanted,
                                       const Call& call) {
    constexpr int kSteps = 56;  // halves the stretch from -norm to norm down to a rounding
    const size_t n = diagonal.size();
    const double norm = norm_of(diagonal, next_to), least = std::max(norm * norm * DBL_EPSILON * DBL_EPSILON, DBL_MIN);
    std::vector<double> squares(n), out(wanted);
    for (size_t i = 1; i < n; ++i) squares[i] = next_to[i - 1] * next_to[i - 1];
    const double work = 32.0 * kSteps * double(wanted) * double(n);  // divisions
    parallel_blocks(wanted, kTogether, threads_for(call, work), call, [&](size_t first, size_t count) {
        double low[kTogether], high[kTogether], middle[kTogether], below[kTogether];
        std::fill_n(low, kTogether, -norm);
        std::fill_n(high, kTogether, norm);
        for (int step = 0; step < kSteps; ++step) {
            for (size_t t = 0; t < kTogether; ++t) middle[t] = 0.5 * (low[t] + high[t]);
            count_below(diagonal, squares.data(), least, middle, below);
            for (size_t t = 0; t < kTogether; ++t)
                (below[t] + double(first + t) < double(n) ? low : high)[t] = middle[t];
        }
        for (size_t t = 0; t < count; ++t) out[first + t] = 0.5 * (low[t] + high[t]);
    });
    for (size_t i = 1; i < wanted; ++i) out[i] = std::min(out[i], out[i - 1]);
    return out;
}

// Values as near to each other as kNear of the norm share a stretch of vectors that are made orthogonal to each other;
// those farther apart are so by themselves. Equal values are moved apart by a rounding, as in LAPACK's dstein.
std::optional<std::vector<double>> tridiagonal_vectors(std::span<const double> diagonal,
                                                       std::span<const double> next_to, std::span<const double> values,
                                                       const Call& call) {
    constexpr double kNear = 1e-3, kRounding = 16 * DBL_EPSILON;
    constexpr int kSteps = 2;
    const size_t n = diagonal.size();
    const double norm = norm_of(diagonal, next_to);
    const double least = std::max(norm * DBL_EPSILON, DBL_MIN);
    std::vector<double> out(values.size() * n);
    std::vector<size_t> starts;
    for (size_t v = 0; v < values.size(); ++v)
        if (v == 0 || values[v - 1] - values[v] > kNear * norm) starts.push_back(v);
    starts.push_back(values.size());
    std::atomic<bool> found = true;
    const double work = 400.0 * kSteps * double(values.size()) * double(n);  // divisions that wait for each other
    parallel_for(starts.size() - 1, threads_for(call, work), call, [&](size_t stretch, int) {
        const size_t near = starts[stretch];
        Random random(n + near);
        double value = 0;
        for (size_t v = near; v < starts[stretch + 1]; ++v) {
            value = v == near ? values[v] : std::min(values[v], value - kRounding * norm);
            const Shifted shifted(diagonal, next_to, value, least);
            double* x = &out[v * n];
            for (size_t i = 0; i < n; ++i) x[i] = random.uniform() - 0.5;
            for (int step = 0; step < kSteps; ++step) {
                shifted.solve(x);
                normalise(x, n);
                for (int pass = 0; pass <= step; ++pass)  // at last twice: once is not orthogonal to rounding
                    for (size_t other = near; other < v; ++other) {
                        const double weight = dot(x, &out[other * n], n);
                        for (size_t i = 0; i < n; ++i) x[i] -= weight * out[other * n + i];
                    }
                normalise(x, n);
            }
            const double moved = std::abs(value - values[v]);
            if (!(residual(diagonal, next_to, value, x) <= 64 * kRounding * norm + 2 * moved)) found = false;
        }
    });
    return found ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace annkit
