// How an HNSW index answers queries.
#include <algorithm>
#include <array>

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
// Ctrl-C is answered between tasks: so much work, of threads_for's kind, takes some 20 ms.
constexpr double kWorkATask = 4e7;
// So many queries scan the rows that a filter lets through in tiles, where a lone one (see GraphSearch) gathers them:
// `bars.py graph` shows what that makes of 50, 10 and 1 % allowed. Only where both score alike.
constexpr size_t kTogether = 16;
constexpr double kScannedTogether = 90;

// Walks of so many queries of a thread take turns: while one waits for rows from memory, another goes on. One thread
// and SQ8: 1.16 times the queries a second on 200,000 rows of SIFT, 1.1 on 148,000 words, none on 60,000 images.
constexpr size_t kTurns = 2;

// What a thread of one call searches with, each taken, or made, when it is first needed.
class Searches {
  public:
    using Make = FunctionRef<std::unique_ptr<GraphSearch>()>;
    Searches(GraphSearches& idle, Make make) : idle_(idle), make_(make) {}
    Searches(const Searches&) = delete;
    Searches& operator=(const Searches&) = delete;
    ~Searches() {
        for (auto& search : taken_)
            if (search) idle_.give_back(std::move(search));
    }
    GraphSearch& operator[](size_t turn) {
        if (!taken_[turn]) taken_[turn] = idle_.take(make_);
        return *taken_[turn];
    }

  private:
    GraphSearches& idle_;
    Make make_;
    std::array<std::unique_ptr<GraphSearch>, kTurns> taken_;
};

// begin(search, query) starts a walk, end(search, query) takes what it found.
template <class Begin, class End>
void take_turns(Searches& searches, size_t first, size_t last, Begin&& begin, End&& end) {
    std::array<size_t, kTurns> queries;
    size_t walking = 0;
    const auto go_on = [&](size_t turn) {
        queries[turn] = std::min(first++, last);
        if (queries[turn] == last) return;
        begin(searches[turn], queries[turn]);
        ++walking;
    };
    for (size_t turn = 0; turn < kTurns; ++turn) go_on(turn);
    while (walking > 0)
        for (size_t turn = 0; turn < kTurns; ++turn) {
            if (queries[turn] == last || searches[turn].step(walking == 1)) continue;
            end(searches[turn], queries[turn]);
            --walking;
            go_on(turn);
        }
}

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

void Hnsw::run(const Rows& queries, const TopK& empty, const Request& request, Take take) const {
    const FilterSets filters(request.filters, members_);
    const InnerRows inner(queries, unit_, "the query");
    const GraphFilter everything{members_.rows(), nullptr, members_.rows()};
    std::vector<GraphFilter> allowed;
    for (const Bitset* set : filters.sets()) allowed.push_back({members_.rows(), set, set->count()});
    const bool within = empty.limit() == SIZE_MAX;
    const WalkLimits limits = limits_for(request.settings, empty.limit());
    const double ef = double(limits.ef);
    if (allowed.size() == 1 && !within && queries.n >= kTogether && codec_->has_certain_bounds()) {
        const double count = double(allowed[0].count), share = count / double(std::max<size_t>(graph_.size(), 1));
        if (share * count < kScannedTogether * ef) {
            const TopK rising = empty.reordered(members_.ids().order());
            return ExhaustiveSearch{*codec_, inner_metric(), *codes_, dim_, rising, filters.sets()}.run(
                inner.rows(), request.call, take);
        }
    }
    const double cost = ef * double(degree()) * double(queries.dim) / 4;
    // A wide range has any number of hits. Walks that take turns need a few.
    const size_t a_task = within ? 1 : std::clamp<size_t>(size_t(kWorkATask / std::max(cost, 1.0)), 4, kQueriesATask);
    const size_t tasks = (queries.n + a_task - 1) / a_task;
    const int threads = threads_for(request.call, double(queries.n) * cost);
    const bool estimates = request.settings.estimates;
    const auto make = [&] {
        return std::make_unique<GraphSearch>(graph_, *codec_, inner_metric(), *codes_, dim_, estimates);
    };
    const bool in_turns = allowed.empty() && !within && graph_.size() <= members_.rows();
    parallel_for(tasks, threads, request.call, [&](size_t task, int) {
        Searches own(searches_[estimates], make);
        const auto finish = [&](size_t query, auto&& find) {
            TopK top(empty);
            find(top);
            take(query, top.sorted());
        };
        const size_t first = task * a_task, last = std::min(queries.n, first + a_task);
        if (in_turns)
            return take_turns(
                own, first, last,
                [&](GraphSearch& search, size_t i) {
                    search.query(inner.rows().slice(i, 1));
                    search.start(limits);
                },
                [&](GraphSearch& search, size_t i) { finish(i, [&](TopK& top) { search.finish(top); }); });
        GraphSearch& search = own[0];
        for (size_t i = first; i < last; ++i) {
            search.query(inner.rows().slice(i, 1));
            const GraphFilter& filter = allowed.empty() ? everything : allowed[allowed.size() > 1 ? i : 0];
            finish(i, [&](TopK& top) { search.find(limits, filter, top); });
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
