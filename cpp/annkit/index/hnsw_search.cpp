// How an HNSW index answers queries.
#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kDefaultEf = 64;
// With gamma, which keeps fewer by itself unless the rows are all about as far.
constexpr size_t kMostByGamma = 1000;
constexpr size_t kQueriesATask = 16;
// So many queries scan the rows that a filter lets through in tiles, where a lone one (see GraphSearch) gathers them:
// `bars.py graph` shows what that makes of 50, 10 and 1 % allowed.
constexpr size_t kTogether = 16;
constexpr double kScannedTogether = 90;

// Scratch of the threads of one call.
class Borrowed {
  public:
    Borrowed(GraphScratches& from, size_t threads) : from_(from), scratches_(threads) {}
    ~Borrowed() {
        for (auto& scratch : scratches_)
            if (scratch) from_.give_back(std::move(scratch));
    }
    GraphWalk::Scratch& of(size_t thread) {
        if (!scratches_[thread]) scratches_[thread] = from_.take();
        return *scratches_[thread];
    }

  private:
    GraphScratches& from_;
    std::vector<std::unique_ptr<GraphWalk::Scratch>> scratches_;
};

}  // namespace

// k: SIZE_MAX where all rows within a bound are wanted.
WalkLimits Hnsw::limits_for(const Settings& settings, size_t k) const {
    const size_t least = k == SIZE_MAX ? 1 : k, ef = settings.ef > 0 ? settings.ef : kDefaultEf;
    WalkLimits limits{std::max(ef, least), {std::max(ef, least)}};
    if (settings.gamma < 0) return limits;
    // Scores are squares of distances, but for counts of bits.
    const double times = 1 + settings.gamma, factor = metric_ == Metric::hamming ? times : times * times;
    if (settings.ef == 0) limits.pool.most = std::max(kMostByGamma, 10 * least);
    limits.pool.k = k;
    limits.pool.zero = unit_ ? -1.0f : 0.0f;
    limits.pool.factor = float(std::min(factor, 1e30));
    return limits;
}

void Hnsw::run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const {
    const FilterSets filters(request.filters, members_);
    const InnerRows inner(queries, unit_, "the query");
    const GraphFilter everything{members_.rows(), nullptr, members_.rows()};
    std::vector<GraphFilter> allowed;
    for (const Bitset* set : filters.sets()) allowed.push_back({members_.rows(), set, set->count()});
    const bool within = empty.limit() == SIZE_MAX;
    const WalkLimits limits = limits_for(request.settings, empty.limit());
    const double ef = double(limits.ef);
    if (allowed.size() == 1 && !within && queries.n >= kTogether) {
        const double count = double(allowed[0].count), share = count / double(std::max<size_t>(graph_.size(), 1));
        if (share * count < kScannedTogether * ef) {
            const TopK rising = empty.reordered(members_.ids().order());
            return ExhaustiveSearch{*codec_, inner_metric(), *codes_, dim_, rising, filters.sets()}.run(
                inner.rows(), request.call, take);
        }
    }
    const double cost = ef * double(degree()) * double(queries.dim) / 4;
    const size_t tasks = (queries.n + kQueriesATask - 1) / kQueriesATask;
    const int threads = threads_for(request.call, double(queries.n) * cost);
    Borrowed scratches(scratches_, size_t(threads));
    std::vector<std::unique_ptr<GraphSearch>> searches{size_t(threads)};
    parallel_for(tasks, threads, request.call, [&](size_t task, int thread) {
        auto& search = searches[size_t(thread)];
        if (!search)
            search = std::make_unique<GraphSearch>(graph_, *codec_, inner_metric(), *codes_, dim_,
                                                   scratches.of(size_t(thread)), request.settings.estimates);
        for (size_t i = task * kQueriesATask; i < std::min(queries.n, (task + 1) * kQueriesATask); ++i) {
            TopK top(empty);
            search->query(inner.rows().slice(i, 1));
            search->find(limits, allowed.empty() ? everything : allowed[allowed.size() > 1 ? i : 0], top);
            take(i, top.sorted());
        }
    });
}

void Hnsw::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    check(request.settings.gamma < 0 || metric_ != Metric::ip,
          "gamma compares distances, which metric \"ip\" does not have");
    RowIndex::search(queries, k, request, out);
}

RangeAnswer Hnsw::range_search(const Rows& queries, float radius, const Request& request) const {
    check(request.settings.gamma < 0, "gamma is ", request.settings.gamma,
          ", but range_search has no k-th neighbour to end a walk by");
    return RowIndex::range_search(queries, radius, request);
}

GraphStats Hnsw::stats() const {
    std::shared_lock lock(mutex_);
    GraphStats stats{{}, members_.removed()};
    for (size_t l = 0; l < graph_.layers(); ++l) stats.layers.push_back(graph_.layer(l).stats());
    return stats;
}

}  // namespace annkit
