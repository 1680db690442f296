#include "annkit/index/graph_lists.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "annkit/simd/kernels.h"

namespace annkit {

void GraphLists::find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const {
    std::vector<int64_t> found(queries.n * nprobe);
    const bool bits = centroids_.empty();
    std::vector<float> distances(bits ? 0 : found.size());
    std::vector<int32_t> counts(bits ? found.size() : 0);
    const std::vector<Filter> no_filter;
    Settings settings;
    settings.ef = ef_;
    graph_.search(queries, nprobe, {no_filter, settings, call},
                  {distances.data(), bits ? counts.data() : nullptr, found.data()});
    std::transform(found.begin(), found.end(), lists, [](int64_t id) { return id < 0 ? kNoList : uint32_t(id); });
    std::copy(counts.begin(), counts.end(), scores);
    if (bits) return;
    constexpr size_t kQueries = 64;
    const double work = double(found.size()) * double(queries.dim);
    parallel_for((queries.n + kQueries - 1) / kQueries, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * kQueries, n = std::min(kQueries, queries.n - first);
        const FloatBlock block(queries.slice(first, n), "the query");
        for (size_t i = 0; i < n; ++i)
            score(block.row(i), nprobe, lists + (first + i) * nprobe, scores + (first + i) * nprobe);
    });
}

// The graph may be over coarser codes than the centroids themselves.
void GraphLists::score(const float* query, size_t nprobe, uint32_t* lists, float* scores) const {
    const size_t dim = graph_.dim(), n = size_t(std::find(lists, lists + nprobe, kNoList) - lists);
    std::vector<const void*> rows(n);
    for (size_t i = 0; i < n; ++i) rows[i] = &centroids_[lists[i] * dim];
    const auto kernel = ip_ ? simd::kernels().ip[simd::kF32] : simd::kernels().l2[simd::kF32];
    kernel(query, rows.data(), dim, n, scores);
    std::fill(scores + n, scores + nprobe, std::numeric_limits<float>::infinity());
    const auto nearest = std::min_element(scores, scores + n) - scores;
    std::swap(lists[0], lists[nearest]);
    std::swap(scores[0], scores[nearest]);
}

}  // namespace annkit
