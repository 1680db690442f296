#include "annkit/index/list_finder.h"

#include <algorithm>

#include "annkit/math/smallest.h"
#include "annkit/simd/kernels.h"

namespace annkit {

ListFinder::ListFinder(std::span<const float> centroids, size_t dim, bool ip)
    : n_(centroids.size() / dim), dim_(dim), ip_(ip), norms_(ip ? 0 : n_) {
    std::vector<float> scaled(centroids.begin(), centroids.end());
    for (float& x : scaled) x *= ip ? -1.0f : -2.0f;
    matrix_ = PackedMatrix::of(scaled.data(), n_, dim);
    for (size_t i = 0; i < norms_.size(); ++i) {
        const void* c = &centroids[i * dim];
        simd::kernels().ip[simd::kF32](c, &c, dim, 1, &norms_[i]);
        norms_[i] = -norms_[i];
    }
}

// The factor is a power of two: nothing was rounded.
void ListFinder::centroid(size_t list, float* out) const {
    const float factor = ip_ ? -1.0f : -0.5f;
    matrix_.row(list, out);
    for (size_t j = 0; j < dim_; ++j) out[j] *= factor;
}

size_t ListFinder::nbytes() const { return matrix_.nbytes() + norms_.capacity() * sizeof(float); }

void ListFinder::find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const {
    constexpr size_t kQueries = 48, kScores = size_t(1) << 20;  // of a task, which stays in the second cache or near it
    const size_t together = std::clamp<size_t>(kScores / n_, 1, kQueries);
    const double work = double(queries.n) * double(n_) * double(dim_);
    parallel_for((queries.n + together - 1) / together, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * together, count = std::min(together, queries.n - first);
        const FloatBlock block(queries.slice(first, count), "the query");
        std::vector<float> all(count * n_);
        Smallest smallest;
        const size_t stride = count > 1 ? size_t(block.row(1) - block.row(0)) : dim_;
        matrix_.multiply(block.row(0), stride, count, all.data(), n_);
        for (size_t i = 0; i < count; ++i) {
            float* row = &all[i * n_];
            for (size_t j = 0; j < norms_.size(); ++j) row[j] += norms_[j];
            const uint32_t* near = smallest.of(row, n_, nprobe);
            const size_t at = (first + i) * nprobe;
            std::copy_n(near, nprobe, lists + at);
            for (size_t j = 0; j < nprobe; ++j)
                scores[at + j] = ip_ ? row[near[j]] : std::max(block.norm2(i) + row[near[j]], 0.0f);
        }
    });
}

}  // namespace annkit
