#include "annkit/math/polar.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "annkit/core/crew.h"
#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "annkit/math/product.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Of X, n x m: a step is X <- P X, where P = (stretch / 2) (3 I - stretch^2 X X^T). Both products are made in tiles,
// and whoever makes a tile of X packs it for the next step: threads meet twice a step, and write what lies together.
// Strides are padded, so that products need no copies.
class NewtonSchulz {
  public:
    NewtonSchulz(const std::vector<float>& x, size_t n, size_t m, double scale, int threads)
        : n_(n),
          m_(m),
          stride_(padded_stride(m)),
          gram_stride_(padded_stride(n)),
          gram_tiles_(n, n, threads),
          tiles_(n, m, threads),
          memory_(allocate((n * stride_ + n * gram_stride_) * sizeof(float))),
          x_(reinterpret_cast<float*>(memory_.get())),
          gram_(x_ + n * stride_),
          squares_(n),
          across_(n, m),
          down_(m, n),
          next_down_(m, n) {
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j < m; ++j) x_[i * stride_ + j] = float(double(x[i * m + j]) * scale);
    }

    void begin(Crew& crew) {
        crew.run(tiles_.count(), [&](size_t task) { pack(tiles_[task]); });
        std::swap(down_, next_down_);
    }

    // Returns the sum of the squares of X's singular values, as they were before.
    double step(double stretch, Crew& crew) {
        const auto times = float(-0.5 * stretch * stretch * stretch), own = float(1.5 * stretch);
        crew.run(gram_tiles_.count(), [&](size_t task) {
            const Tile t = gram_tiles_[task];
            float* gram = &gram_[t.row * gram_stride_ + t.column];
            across_.multiply(&x_[t.row * stride_], stride_, t.rows, {t.column, t.columns}, gram, gram_stride_);
            for (size_t i = t.row; i < t.row + t.rows; ++i, gram += gram_stride_) {
                const bool on_diagonal = i >= t.column && i < t.column + t.columns;
                if (on_diagonal) squares_[i] = double(gram[i - t.column]);
                for (size_t j = 0; j < t.columns; ++j) gram[j] *= times;
                if (on_diagonal) gram[i - t.column] += own;
            }
        });
        crew.run(tiles_.count(), [&](size_t task) {
            const Tile t = tiles_[task];
            down_.multiply(&gram_[t.row * gram_stride_], gram_stride_, t.rows, {t.column, t.columns},
                           &x_[t.row * stride_ + t.column], stride_);
            pack(t);
        });
        std::swap(down_, next_down_);
        return std::accumulate(squares_.begin(), squares_.end(), 0.0);
    }

    std::vector<float> result() const {
        std::vector<float> out;
        out.reserve(n_ * m_);
        for (size_t i = 0; i < n_; ++i) out.insert(out.end(), &x_[i * stride_], &x_[i * stride_] + m_);
        return out;
    }

  private:
    struct Tile {
        size_t row, rows, column, columns;
    };
    // Of whole panels, in rows as in columns: a tile of X is packed without its neighbours.
    class Tiles {
      public:
        Tiles(size_t rows, size_t columns, int threads) : rows_(rows), columns_(columns) {
            const size_t panels = (columns + lanes() - 1) / lanes(), of_rows = (rows + kTileRows - 1) / kTileRows;
            const size_t wanted = (size_t(threads) + of_rows - 1) / of_rows;
            parts_ = std::min(panels, std::max(wanted, (columns + kMostColumns - 1) / kMostColumns));
        }
        size_t count() const { return (rows_ + kTileRows - 1) / kTileRows * parts_; }
        Tile operator[](size_t number) const {
            const size_t panels = (columns_ + lanes() - 1) / lanes(), part = number % parts_;
            const size_t row = number / parts_ * kTileRows, column = part * panels / parts_ * lanes();
            const size_t end = std::min(columns_, (part + 1) * panels / parts_ * lanes());
            return {row, std::min(kTileRows, rows_ - row), column, end - column};
        }

      private:
        static constexpr size_t kTileRows = 144, kMostColumns = 256;
        size_t rows_, columns_, parts_;
    };

    static size_t lanes() { return simd::kernels().product.lanes; }

    void pack(const Tile& t) {
        for (size_t panel = t.row / lanes(); panel * lanes() < t.row + t.rows; ++panel)
            across_.pack(panel, x_, stride_, {t.column, t.columns});
        for (size_t panel = t.column / lanes(); panel * lanes() < t.column + t.columns; ++panel)
            next_down_.pack_transposed(panel, x_, stride_, {t.row, t.rows});
    }

    size_t n_, m_, stride_, gram_stride_;
    Tiles gram_tiles_, tiles_;
    Buffer memory_;
    float *x_, *gram_;
    std::vector<double> squares_;
    PackedMatrix across_;            // X made ready for X X^T
    PackedMatrix down_, next_down_;  // and for products with it, now and in the next step
};

}  // namespace

// Newton and Schulz: X <- (3 I - X X^T) X / 2 takes singular values of (0, sqrt 3) to 1, the small ones slowly. Until
// they are there, X is stretched first such that the images of the smallest and the largest meet (Chen and Chow: A
// stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian matrix, 2014).
std::vector<float> polar_factor(const std::vector<float>& x, size_t n, size_t m, Spread spread, const Call& call) {
    check(x.size() == n * m && n > 0 && m > 0, "got ", x.size(), " values for a matrix of ", n, " x ", m);
    double norm2 = 0;
    for (float value : x) norm2 += double(value) * double(value);
    check(std::isfinite(norm2), "the matrix has NaN or infinite values, expected finite ones");
    // A singular value may have been below least: then the squares of all do not sum up to how many they are, and
    // further steps bring it there, by half of itself each at first.
    constexpr int kMostFurther = 40;
    const double ones = double(std::min(n, m)), slack = 1e-5 * ones + 1e-4;
    // So many products follow each other at least, for which threads are woken once.
    constexpr double kAwake = 16;
    const int threads = threads_for(call, kAwake * double(n) * double(n) * double(m));
    const double norm = std::sqrt(norm2), most = spread.most > 0 ? std::min(spread.most, norm) : norm;
    NewtonSchulz steps(x, n, m, most > 0 ? 1 / most : 0, threads);
    double least = spread.least;
    with_crew(threads, call, [&](Crew& crew) {
        steps.begin(crew);
        bool last = false;
        for (int further = 0; !last && further < kMostFurther;) {
            const bool there = least > 0.999;
            const double stretch = there ? 1 : std::sqrt(3 / (1 + least + least * least));
            least = std::min(1.0, 0.5 * stretch * least * (3 - stretch * stretch * least * least));
            const double squares = steps.step(stretch, crew);
            last = there && std::abs(squares - ones) < slack;
            further += there;
        }
    });
    return steps.result();
}

}  // namespace annkit
