#include "annkit/index/list_finder.h"

#include <algorithm>
#include <bit>

#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Floats in the order of integers.
int32_t ordered(float x) {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? bits ^ INT32_MAX : bits;
}
float of_ordered(int32_t x) { return std::bit_cast<float>(x < 0 ? x ^ INT32_MAX : x); }

// A bound that at least `least` and at most `most` of the scores are within; where there is none (scores are equal),
// the smallest one that has enough within. By bisection: a count is a few instructions.
float bound_with(std::span<const float> scores, size_t least, size_t most) {
    const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
    int64_t below = int64_t(ordered(*low)) - 1, enough = ordered(*high);
    while (enough - below > 1) {
        const auto middle = int32_t((below + enough) >> 1);
        const size_t within = simd::kernels().count(scores.data(), scores.size(), of_ordered(middle));
        (within < least ? below : enough) = middle;
        if (within >= least && within <= most) break;
    }
    return of_ordered(int32_t(enough));
}

// Keeps n of the lists within the bound: of those right at it, the first.
void drop_ties(const float* scores, float bound, size_t n, std::vector<uint32_t>& lists, size_t found) {
    size_t ties = n, kept = 0;
    for (size_t i = 0; i < found; ++i) ties -= scores[lists[i]] < bound;
    for (size_t i = 0; i < found; ++i) {
        const bool tie = scores[lists[i]] == bound;
        if (tie && ties == 0) continue;
        ties -= tie;
        lists[kept++] = lists[i];
    }
}

}  // namespace

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

size_t ListFinder::nbytes() const {
    const size_t lanes = simd::kernels().product.lanes;
    return ((n_ + lanes - 1) / lanes * lanes * dim_ + norms_.capacity()) * sizeof(float);
}

void ListFinder::find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const {
    constexpr size_t kQueries = 48, kScores = size_t(1) << 20;  // of a task, which stays in the second cache or near it
    const size_t together = std::clamp<size_t>(kScores / n_, 1, kQueries);
    const double work = double(queries.n) * double(n_) * double(dim_);
    parallel_for((queries.n + together - 1) / together, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * together, count = std::min(together, queries.n - first);
        const FloatBlock block(queries.slice(first, count), "the query");
        std::vector<float> all(count * n_), minima;
        std::vector<uint32_t> near(n_);
        const size_t stride = count > 1 ? size_t(block.row(1) - block.row(0)) : dim_;
        matrix_.multiply(block.row(0), stride, count, all.data(), n_);
        for (size_t i = 0; i < count; ++i) {
            float* row = &all[i * n_];
            for (size_t j = 0; j < norms_.size(); ++j) row[j] += norms_[j];
            const size_t at = (first + i) * nprobe;
            choose(row, nprobe, ip_ ? 0.0f : block.norm2(i), lists + at, scores + at, minima, near);
        }
    });
}

// The nprobe-th smallest of many minima of disjoint parts bounds the nprobe-th smallest of all: few pass it.
void ListFinder::choose(const float* scores, size_t nprobe, float norm2, uint32_t* lists, float* out,
                        std::vector<float>& minima, std::vector<uint32_t>& near) const {
    constexpr size_t kPartsAHit = 4, kStep = 16;
    const size_t parts = (nprobe * kPartsAHit + kStep - 1) / kStep * kStep;
    float bound = std::numeric_limits<float>::infinity();
    if (2 * parts <= n_) {
        minima.assign(scores, scores + parts);
        for (size_t first = parts; first < n_; first += parts)
            for (size_t j = 0; j < std::min(parts, n_ - first); ++j)
                minima[j] = scores[first + j] < minima[j] ? scores[first + j] : minima[j];
        bound = bound_with(minima, nprobe, nprobe + nprobe / 8);
    }
    size_t found = simd::kernels().select(scores, n_, bound, near.data());
    if (found > nprobe) {
        minima.resize(found);
        for (size_t i = 0; i < found; ++i) minima[i] = scores[near[i]];
        bound = bound_with(minima, nprobe, nprobe);
        found = simd::kernels().select(scores, n_, bound, near.data());
    }
    if (found > nprobe) drop_ties(scores, bound, nprobe, near, found);
    const auto nearer = [scores](uint32_t a, uint32_t b) { return scores[a] < scores[b]; };
    std::iter_swap(near.begin(), std::min_element(near.begin(), near.begin() + ptrdiff_t(nprobe), nearer));
    for (size_t i = 0; i < nprobe; ++i) {
        const float score = norm2 + scores[near[i]];
        lists[i] = near[i];
        out[i] = ip_ ? score : std::max(score, 0.0f);
    }
}

}  // namespace annkit
