#include "annkit/index/exhaustive.h"

#include <algorithm>

namespace annkit {
namespace {

// One scorer a query over rows that stay in the second cache: for one query and very small batches, for codecs that
// have no better way, and for filters that differ from query to query.
class ScanEach final : public BatchScan {
  public:
    ScanEach(const ExhaustiveSearch& search, const Rows& queries, size_t first_query) {
        queries_.reserve(queries.n);
        for (size_t i = 0; i < queries.n; ++i) {
            queries_.push_back({search.codec.scorer(search.metric, search.codes, search.dim), search.empty,
                                search.allowed.size() > 1 ? search.allowed[first_query + i] : nullptr});
            queries_.back().scorer->query(queries.slice(i, 1));
        }
    }
    void scan(RowRange range, const Bitset* allowed) override {
        for (Query& query : queries_)
            query.scorer->scan(range, query.allowed != nullptr ? query.allowed : allowed, query.top);
    }
    TopK& result(size_t query) override { return queries_[query].top; }

  private:
    struct Query {
        std::unique_ptr<Scorer> scorer;
        TopK top;
        const Bitset* allowed;  // of its own
    };
    std::vector<Query> queries_;
};

// Rows handed out at a time. Small enough to stay in the second cache for the next query of a small batch, to share
// the work evenly, and to answer Ctrl-C in time; large enough for long streams.
size_t rows_a_task(const Codes& codes, const BatchScorer* batch, size_t n, size_t queries, int threads) {
    constexpr size_t kTaskBytes = size_t(256) << 10;
    const size_t in_cache = std::max<size_t>(kTaskBytes / std::max<size_t>(codes.code_bytes(), 1), 64);
    const size_t streams = queries == 1 ? 4 * in_cache : in_cache;
    const size_t even = threads > 1 ? std::max<size_t>(n / (8 * size_t(threads)), 64) : n;
    if (batch != nullptr)  // four times as many tasks: each takes long
        return (std::min(in_cache, threads > 1 ? even / 4 : n) / batch->step() + 1) * batch->step();
    return std::min({std::max<size_t>(streams, 64), std::max<size_t>(even, 1), size_t(1) << 20});
}

}  // namespace

// Candidates of a block of queries stay within some 16 MB for each thread.
size_t ExhaustiveSearch::queries_a_block() const {
    constexpr size_t kScratch = size_t(16) << 20, kMost = 1024, kLeast = 64;
    const size_t k = std::min<size_t>(empty.limit(), codes.n);
    const size_t bytes = 3 * (k + 64) * sizeof(Hit);
    return std::clamp(kScratch / bytes, kLeast, kMost);
}

// For enough queries, rows that a filter lets through are faster copied than found among the others by each query.
bool ExhaustiveSearch::worth_copying(size_t queries) const {
    constexpr size_t kQueries = 16, kBytes = size_t(32) << 20;
    constexpr double kCopy = 128;  // rows that a tile scores meanwhile
    if (allowed.size() != 1 || queries < kQueries) return false;
    const size_t n = allowed[0]->count();
    return n * codes.code_bytes() <= kBytes && double(n) * kCopy < double(codes.n - n) * double(queries);
}

void ExhaustiveSearch::run_copy(const Rows& queries, const Call& call, Take take) const {
    const std::vector<uint32_t> rows = allowed[0]->members();
    const IdView all_ids = empty.order().ids;
    std::vector<int64_t> ids;
    for (size_t i = 0; !all_ids.empty() && i < rows.size(); ++i) ids.push_back(all_ids[rows[i]]);
    const Codes copied = codes.copy(rows);
    const TieOrder order{{nullptr, all_ids.empty() ? nullptr : ids.data()}, empty.order().rows_rise};
    ExhaustiveSearch{codec, metric, copied, dim, empty.reordered(order), {}}.run(
        queries, call, [&](size_t query, std::span<const Hit> hits) {
            std::vector<Hit> found(hits.begin(), hits.end());
            for (Hit& hit : found) hit.row = rows[hit.row];
            take(query, found);
        });
}

// Threads that share the queries have nothing to agree on. That pays from enough queries on for each thread to keep
// rows in the cache, and where rows are made ready for tiles, as long as that, done once more, costs less than what
// threads that share the rows do twice: each of them has k rows to find for every query.
bool ExhaustiveSearch::shares_queries(size_t queries, size_t share) const {
    constexpr size_t kShare = 256;
    constexpr double kQuery = 50'000, kHit = 2500;  // measured: the bytes of rows that are made ready meanwhile
    if (share < kShare || queries_a_block() < kShare) return false;
    const double k = double(std::min<size_t>(empty.limit(), codes.n));
    const double bytes = double(codes.n) * double(codes.code_bytes());
    return !codec.prepares_rows() || bytes < double(queries) * (kQuery + kHit * k);
}

void ExhaustiveSearch::run(const Rows& queries, const Call& call, Take take) const {
    if (worth_copying(queries.n)) return run_copy(queries, call, take);
    const size_t block = queries_a_block();
    const double work = double(queries.n) * double(codes.n) * double(codes.code_bytes()) / 16;
    const auto threads = size_t(threads_for(call, work)), share = (queries.n + threads - 1) / threads;
    if (threads > 1 && shares_queries(queries.n, share)) {
        parallel_calls(
            queries.n, std::min(share, block), int(threads), call,
            [&](size_t first, size_t n, const Call& part) { run_block(queries.slice(first, n), first, part, take); });
        return;
    }
    for (size_t first = 0; first < queries.n; first += block)
        run_block(queries.slice(first, std::min(block, queries.n - first)), first, call, take);
}

void ExhaustiveSearch::run_block(const Rows& queries, size_t first_query, const Call& call, Take take) const {
    const size_t n = codes.n;
    const int threads = threads_for(call, double(queries.n) * double(n) * double(codes.code_bytes()) / 16);
    constexpr size_t kShareFrom = 16;
    const bool each = allowed.size() > 1;
    const auto batch = each ? nullptr : codec.batch_scorer(metric, codes, queries, {threads, call.monitor});
    std::vector<Worker> workers{size_t(threads)};
    const auto worker = [&](int thread) -> BatchScan& {  // made by the thread that uses it
        Worker& mine = workers[size_t(thread)];
        if (!mine) mine = batch ? batch->start(empty, thread) : std::make_unique<ScanEach>(*this, queries, first_query);
        return *mine;
    };
    worker(0);  // also where there are no rows, so that queries are checked
    const size_t step = rows_a_task(codes, batch.get(), n, queries.n, threads);
    const Bitset* shared = allowed.size() == 1 ? allowed[0] : nullptr;
    parallel_for((n + step - 1) / step, threads, call, [&](size_t task, int thread) {
        const size_t first = task * step;
        worker(thread).scan({uint32_t(first), uint32_t(std::min(first + step, n))}, shared);
    });
    // The last candidates get their exact scores here.
    parallel_for(queries.n, queries.n >= kShareFrom ? threads : 1, call, [&](size_t query, int) {
        TopK& top = workers[0]->result(query);
        for (size_t t = 1; t < workers.size(); ++t)
            if (workers[t]) top.merge(workers[t]->result(query));
        take(first_query + query, top.sorted());
    });
}

}  // namespace annkit
