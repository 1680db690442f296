#include "annkit/math/kmeans_start.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "annkit/core/random.h"
#include "annkit/math/cells.h"
#include "annkit/math/sample.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 512;

// Rows side by side, and of each its squared distance from the nearest centroid so far.
class Candidates {
  public:
    Candidates(const TrainingRows& rows, size_t most, bool normalise, uint64_t seed)
        : n_(std::min(most, rows.size())), dim_(rows.dim()), rows_(allocate(n_ * dim_ * sizeof(float))) {
        distances_.assign(n_, std::numeric_limits<float>::max());
        sums_.assign((n_ + kBlock - 1) / kBlock, 0);
        const std::vector<size_t> chosen = stratified(rows.size(), n_, seed);
        for (size_t i = 0; i < n_; ++i) {
            std::copy_n(rows.row(chosen[i]), dim_, row(i));
            if (normalise) normalise_row({row(i), dim_});
        }
    }
    size_t size() const { return n_; }
    float* row(size_t i) const { return reinterpret_cast<float*>(rows_.get()) + i * dim_; }

    void add_centroid(const float* centroid, const Call& call) {
        const int threads = threads_for(call, double(n_) * double(dim_));
        parallel_for(sums_.size(), threads, call, [&](size_t b, int) {
            const size_t first = b * kBlock, n = std::min(kBlock, n_ - first);
            float scores[kBlock];
            simd::kernels().scan_l2[simd::kF32](centroid, row(first), dim_, n, scores);
            sums_[b] = 0;
            for (size_t i = 0; i < n; ++i) {
                distances_[first + i] = std::min(distances_[first + i], scores[i]);
                sums_[b] += distances_[first + i];
            }
        });
    }

    size_t draw(Random& random) const {
        const double total = std::accumulate(sums_.begin(), sums_.end(), 0.0);
        if (!(total > 0)) return random.below(n_);  // as many centroids as different rows
        double left = random.uniform() * total;
        size_t b = 0;
        while (b + 1 < sums_.size() && left >= sums_[b]) left -= sums_[b++];
        size_t last = b * kBlock;  // with a distance above 0, if rounding runs past the end
        for (size_t i = b * kBlock; i < std::min((b + 1) * kBlock, n_); ++i) {
            if (distances_[i] > 0) last = i;
            if ((left -= distances_[i]) < 0) break;
        }
        return last;
    }

  private:
    size_t n_, dim_;
    Buffer rows_;
    std::vector<float> distances_;
    std::vector<double> sums_;
};

}  // namespace

std::vector<float> random_start(const TrainingRows& rows, size_t k, uint64_t seed) {
    Random random(seed);
    std::vector<uint32_t> order(rows.size());
    std::iota(order.begin(), order.end(), 0u);
    std::vector<float> centroids(k * rows.dim());
    for (size_t i = 0; i < k; ++i) {
        std::swap(order[i], order[i + random.below(order.size() - i)]);
        std::copy_n(rows.row(order[i]), rows.dim(), &centroids[i * rows.dim()]);
    }
    return centroids;
}

std::vector<float> plus_plus_start(const TrainingRows& rows, size_t k, bool normalise, const Fit& fit) {
    constexpr size_t kRowsPerCentroid = 32;
    Random random(fit.seed);
    Candidates candidates(rows, kRowsPerCentroid * k, normalise, random.next());
    std::vector<float> centroids(k * rows.dim());
    size_t next = random.below(candidates.size());
    for (size_t i = 0; i < k; ++i) {
        std::copy_n(candidates.row(next), rows.dim(), &centroids[i * rows.dim()]);
        if (i + 1 == k) break;
        candidates.add_centroid(&centroids[i * rows.dim()], fit.call);
        next = candidates.draw(random);
    }
    return centroids;
}

}  // namespace annkit
