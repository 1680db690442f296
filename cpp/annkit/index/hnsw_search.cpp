// How an HNSW index answers queries.
#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kDefaultEf = 64;
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

void Hnsw::run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const {
    const FilterSets filters(request.filters, members_);
    const InnerRows inner(queries, unit_, "the query");
    const GraphFilter everything{members_.rows(), nullptr, members_.rows()};
    std::vector<GraphFilter> allowed;
    for (const Bitset* set : filters.sets()) allowed.push_back({members_.rows(), set, set->count()});
    const bool within = empty.limit() == SIZE_MAX;
    const size_t wanted = request.settings.ef > 0 ? request.settings.ef : kDefaultEf;
    const size_t ef = within ? wanted : std::max(wanted, empty.limit());
    if (allowed.size() == 1 && !within && queries.n >= kTogether) {
        const double count = double(allowed[0].count), share = count / double(std::max<size_t>(graph_.size(), 1));
        if (share * count < kScannedTogether * double(ef)) {
            const TopK rising = empty.reordered(members_.ids().order());
            return ExhaustiveSearch{*codec_, inner_metric(), *codes_, dim_, rising, filters.sets()}.run(
                inner.rows(), request.call, take);
        }
    }
    const double cost = double(ef) * double(degree()) * double(queries.dim) / 4;
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
            search->find(ef, allowed.empty() ? everything : allowed[allowed.size() > 1 ? i : 0], top);
            take(i, top.sorted());
        }
    });
}

GraphStats Hnsw::stats() const {
    std::shared_lock lock(mutex_);
    GraphStats stats{{}, members_.removed()};
    for (size_t l = 0; l < graph_.layers(); ++l) stats.layers.push_back(graph_.layer(l).stats());
    return stats;
}

}  // namespace annkit
