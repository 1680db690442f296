#include "annkit/math/tridiagonal_all.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>

#include "annkit/core/crew.h"
#include "annkit/core/memory.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Rotations of the columns first and first + 1, then of first + 1 and first + 2, and so on.
struct Sweep {
    size_t first, count;
};
struct Batch {
    std::vector<simd::Rotation> rotations;
    std::vector<Sweep> sweeps;
};

// Of (x, y). std::hypot takes several times as long, to be right where squares are no numbers.
double length(double x, double y) {
    const double square = x * x + y * y;
    return square > 1e-280 && square < 1e280 ? std::sqrt(square) : std::hypot(x, y);
}

class QrSteps {
  public:
    QrSteps(std::vector<double> diagonal, std::vector<double> next_to)
        : diagonal_(std::move(diagonal)), next_to_(std::move(next_to)), end_(diagonal_.size() - 1) {}

    // Room for what next() hands out.
    Batch batch() const {
        Batch out;
        out.rotations.reserve(kRotations + diagonal_.size());
        out.sweeps.reserve(kRotations);
        return out;
    }
    // The next sweeps; none where the matrix is diagonal, or will not become so. Does not throw.
    void next(Batch& out) {
        constexpr size_t kMostSweeps = 30;  // a column, LAPACK's number
        out.rotations.clear();
        out.sweeps.clear();
        while (out.rotations.size() < kRotations && find_end() && ++swept_ <= kMostSweeps * diagonal_.size())
            sweep(out);
    }
    bool converged() const { return end_ == 0; }
    std::vector<double> values() && { return std::move(diagonal_); }

  private:
    static constexpr size_t kRotations = 16'384;  // with them a strip stays in the second cache

    // What is next to nothing beside the diagonal counts as zero; end_ is the last column that has something there.
    bool find_end() {
        for (size_t i = 0; i < end_; ++i) {
            const double scaled = next_to_[i] / DBL_EPSILON;
            if (std::abs(next_to_[i]) < DBL_MIN ||
                scaled * scaled <= std::abs(diagonal_[i]) + std::abs(diagonal_[i + 1]))
                next_to_[i] = 0;
        }
        while (end_ > 0 && next_to_[end_ - 1] == 0) --end_;
        return end_ > 0;
    }

    double shift() const {
        const double half = 0.5 * (diagonal_[end_ - 1] - diagonal_[end_]), beside = next_to_[end_ - 1];
        return diagonal_[end_] - beside * (beside / (half + std::copysign(length(half, beside), half)));
    }

    // Columns from the last zero beside the diagonal to end_. What a rotation leaves two beside it, the next takes
    // away.
    void sweep(Batch& out) {
        size_t first = end_ - 1;
        while (first > 0 && next_to_[first - 1] != 0) --first;
        const size_t before = out.rotations.size();
        double x = diagonal_[first] - shift(), z = next_to_[first];
        for (size_t k = first; k < end_ && z != 0; ++k) {
            const double norm = length(x, z), c = x / norm, s = -z / norm;
            const double a = diagonal_[k], b = next_to_[k], d = diagonal_[k + 1];
            const double low = s * a + c * b, own = s * b + c * d;
            diagonal_[k] = c * (c * a - s * b) - s * (c * b - s * d);
            diagonal_[k + 1] = s * low + c * own;
            next_to_[k] = c * low - s * own;
            if (k > first) next_to_[k - 1] = c * next_to_[k - 1] - s * z;
            x = next_to_[k];
            if (k + 1 < end_) {
                z = -s * next_to_[k + 1];
                next_to_[k + 1] *= c;
            }
            out.rotations.push_back({c, s});
        }
        out.sweeps.push_back({first, out.rotations.size() - before});
    }

    std::vector<double> diagonal_, next_to_;
    size_t end_, swept_ = 0;
};

// The matrix by strips of its rows.
class Strips {
  public:
    explicit Strips(size_t n) : n_(n), memory_(allocate(count() * kRows * n * sizeof(double))) {}
    size_t count() const { return (n_ + kRows - 1) / kRows; }
    void rotate(size_t number, const Batch& batch) const {
        const simd::Rotation* rotations = batch.rotations.data();
        for (const Sweep& sweep : batch.sweeps) {
            simd::kernels().rotate_columns(strip(number) + sweep.first * kRows, rotations, sweep.count);
            rotations += sweep.count;
        }
    }
    void read(size_t number, const double* columns) const {
        const size_t first = number * kRows, rows = std::min(kRows, n_ - first);
        double* to = strip(number);
        for (size_t j = 0; j < n_; ++j, to += kRows) {
            std::copy_n(columns + j * n_ + first, rows, to);
            std::fill(to + rows, to + kRows, 0.0);
        }
    }
    void write(size_t number, double* columns) const {
        const size_t first = number * kRows, rows = std::min(kRows, n_ - first);
        for (size_t j = 0; j < n_; ++j) std::copy_n(strip(number) + j * kRows, rows, columns + j * n_ + first);
    }

  private:
    static constexpr size_t kRows = simd::kRotationRows;
    double* strip(size_t number) const { return reinterpret_cast<double*>(memory_.get()) + number * kRows * n_; }

    size_t n_;
    Buffer memory_;
};

}  // namespace

std::optional<std::vector<double>> tridiagonal_all(std::vector<double> diagonal, std::vector<double> next_to,
                                                   std::vector<double>& vectors, const Call& call) {
    const size_t n = diagonal.size();
    QrSteps steps(std::move(diagonal), std::move(next_to));
    const Strips strips(n);
    Batch batches[2] = {steps.batch(), steps.batch()};
    const double work = 3 * double(n) * double(n) * double(n);
    with_crew(threads_for(call, work), call, [&](Crew& crew) {
        crew.run(strips.count(), [&](size_t task) { strips.read(task, vectors.data()); });
        steps.next(batches[0]);
        for (size_t b = 0; !batches[b % 2].sweeps.empty(); ++b)
            crew.run(strips.count() + 1, [&](size_t task) {  // the last task begins first
                if (task == strips.count())
                    steps.next(batches[(b + 1) % 2]);
                else
                    strips.rotate(task, batches[b % 2]);
            });
        crew.run(strips.count(), [&](size_t task) { strips.write(task, vectors.data()); });
    });
    if (!steps.converged()) return std::nullopt;
    return std::move(steps).values();
}

}  // namespace annkit
