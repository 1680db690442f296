#include "annkit/index/list_finder.h"

#include <algorithm>
#include <limits>

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
    constexpr size_t kLeastDim = 16, kLeastLists = 256;  // measured, as are the limits of filters()
    if (dim >= kLeastDim && n_ >= kLeastLists && ByteFilter::can(dim)) filter_.emplace(centroids, dim, ip);
}

// The factor is a power of two: nothing was rounded.
void ListFinder::centroid(size_t list, float* out) const {
    const float factor = ip_ ? -1.0f : -0.5f;
    matrix_.row(list, out);
    for (size_t j = 0; j < dim_; ++j) out[j] *= factor;
}

size_t ListFinder::nbytes() const {
    return matrix_.nbytes() + norms_.capacity() * sizeof(float) + (filter_ ? filter_->nbytes() : 0);
}

float ListFinder::final_score(float norm2, float score) const { return ip_ ? score : std::max(norm2 + score, 0.0f); }

bool ListFinder::filters(size_t queries, size_t nprobe) const {
    constexpr size_t kLeast = 16, kFew = 32, kListsAProbe = 160, kOfFew = 320;
    return filter_ && queries >= kLeast && nprobe * (queries < kFew ? kOfFew : kListsAProbe) <= n_;
}

// Of so many queries at a time the scores of all lists stay in the second cache, or near it.
size_t ListFinder::scored_together() const {
    constexpr size_t kQueries = 48, kScores = size_t(1) << 20;
    return std::clamp<size_t>(kScores / n_, 1, kQueries);
}

void ListFinder::find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const {
    const double work = double(queries.n) * double(n_) * double(dim_);
    const auto threads = size_t(threads_for(call, work)), share = (queries.n + threads - 1) / threads;
    const bool filters = this->filters(share, nprobe);
    const size_t together = filters ? std::min(filter_->step(), share) : scored_together();
    parallel_blocks(queries.n, together, int(threads), call, [&](size_t first, size_t count) {
        const FloatBlock block(queries.slice(first, count), "the query");
        const Out out{lists + first * nprobe, scores + first * nprobe};
        if (!filters || !find_filtered(block, nprobe, out)) find_of_all(block, nprobe, out);
    });
}

void ListFinder::find_of_all(const FloatBlock& queries, size_t nprobe, const Out& out) const {
    const size_t together = std::min(scored_together(), queries.size());
    const size_t stride = queries.size() > 1 ? queries.stride() : dim_;
    std::vector<float> all(together * n_);
    Smallest smallest;
    for (size_t i = 0; i < queries.size(); ++i) {
        float* row = &all[i % together * n_];
        if (i % together == 0)
            matrix_.multiply(queries.row(i), stride, std::min(together, queries.size() - i), row, n_);
        for (size_t j = 0; j < norms_.size(); ++j) row[j] += norms_[j];
        const uint32_t* near = smallest.of(row, n_, nprobe);
        std::copy_n(near, nprobe, out.lists + i * nprobe);
        for (size_t j = 0; j < nprobe; ++j) out.scores[i * nprobe + j] = final_score(queries.norm2(i), row[near[j]]);
    }
}

// Of a block of queries: the scores of the first blocks of centroids, then the best of them, then those that are
// better.
class ListFinder::Candidates {
  public:
    Candidates(const ListFinder& finder, const FloatBlock& queries, size_t nprobe, const Out& out)
        : finder_(finder), queries_(queries), nprobe_(nprobe), out_(out) {
        first_.assign(queries.size() * nprobe * kBlock, std::numeric_limits<float>::infinity());
        blocks_.resize(queries.size() * nprobe);
        met_.resize(queries.size());
        limits_.resize(queries.size());
    }

    bool find(const ByteFilter& filter) {
        const auto score = [&](size_t block, std::span<const uint32_t> rows) { this->score(block, rows); };
        if (!filter.find(queries_, nprobe_, {score, [&](size_t i) { return best_of_first(i); }})) return false;
        for (const Late& late : late_) insert(late);
        for (size_t i = 0; i < queries_.size(); ++i)
            for (size_t j = i * nprobe_; j < (i + 1) * nprobe_; ++j)
                out_.scores[j] = finder_.final_score(queries_.norm2(i), out_.scores[j]);
        return true;
    }

  private:
    static constexpr size_t kBlock = ByteFilter::kBlock;
    struct Late {
        uint32_t row, list;
        float score;
    };

    // By the panel of the matrix that the block lies in, for a few queries at a time, which stay in the first cache.
    void score(size_t block, std::span<const uint32_t> rows) {
        const size_t lanes = simd::kernels().product.lanes, together = simd::kernels().product.rows;
        const size_t dim = finder_.dim_, stride = padded_stride(dim);
        const size_t from = block * kBlock, panel = from / lanes * lanes, n = std::min(kBlock, finder_.n_ - from);
        gathered_.resize(together * stride);
        scores_.resize(together * lanes);
        for (size_t first = 0; first < rows.size(); first += together) {
            const std::span some = rows.subspan(first, std::min(together, rows.size() - first));
            for (size_t i = 0; i < some.size(); ++i) std::copy_n(queries_.row(some[i]), dim, &gathered_[i * stride]);
            finder_.matrix_.multiply(gathered_.data(), stride, some.size(),
                                     {panel, std::min(lanes, finder_.n_ - panel)}, scores_.data(), lanes);
            for (size_t i = 0; i < some.size(); ++i) {
                float* scores = &scores_[i * lanes + from - panel];
                for (size_t j = 0; j < n && !finder_.ip_; ++j) scores[j] += finder_.norms_[from + j];
                take(some[i], uint32_t(block), std::span(scores, n));
            }
        }
    }

    void take(uint32_t row, uint32_t block, std::span<const float> scores) {
        if (met_[row] < nprobe_) {
            const size_t at = row * nprobe_ + met_[row]++;
            std::copy(scores.begin(), scores.end(), &first_[at * kBlock]);
            blocks_[at] = block;
            return;
        }
        for (size_t j = 0; j < scores.size(); ++j)
            if (scores[j] <= limits_[row]) late_.push_back({row, uint32_t(block * kBlock + j), scores[j]});
    }

    // Blocks came in rising order, so that of equal scores the lower numbers come first.
    float best_of_first(size_t row) {
        const float* scores = &first_[row * nprobe_ * kBlock];
        const uint32_t* near = smallest_.of(scores, nprobe_ * kBlock, nprobe_);
        float limit = scores[near[0]];
        for (size_t j = 0; j < nprobe_; ++j) {
            const size_t at = row * nprobe_ + j;
            out_.lists[at] = uint32_t(blocks_[row * nprobe_ + near[j] / kBlock] * kBlock + near[j] % kBlock);
            out_.scores[at] = scores[near[j]];
            limit = std::max(limit, scores[near[j]]);
        }
        return limits_[row] = limit;
    }

    // In place of the worst, if it is better; the nearest stays in front.
    void insert(const Late& late) {
        uint32_t* lists = out_.lists + late.row * nprobe_;
        float* scores = out_.scores + late.row * nprobe_;
        const auto better = [](float a, uint32_t i, float b, uint32_t j) { return a < b || (a == b && i < j); };
        size_t worst = 0;
        for (size_t j = 1; j < nprobe_; ++j)
            if (better(scores[worst], lists[worst], scores[j], lists[j])) worst = j;
        if (!better(late.score, late.list, scores[worst], lists[worst])) return;
        scores[worst] = late.score, lists[worst] = late.list;
        if (!better(scores[0], lists[0], late.score, late.list))
            std::swap(scores[0], scores[worst]), std::swap(lists[0], lists[worst]);
    }

    const ListFinder& finder_;
    const FloatBlock& queries_;
    size_t nprobe_;
    Out out_;
    std::vector<float> first_;      // scores of each query's first blocks,
    std::vector<uint32_t> blocks_;  // and which blocks those are
    std::vector<size_t> met_;       // how many of them have come
    std::vector<float> limits_;
    std::vector<Late> late_;
    std::vector<float> gathered_, scores_;
    Smallest smallest_;
};

bool ListFinder::find_filtered(const FloatBlock& queries, size_t nprobe, const Out& out) const {
    return Candidates(*this, queries, nprobe, out).find(*filter_);
}

}  // namespace annkit
