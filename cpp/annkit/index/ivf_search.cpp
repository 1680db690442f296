#include "annkit/index/ivf_search.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "annkit/index/unit_rows.h"

namespace annkit {

constexpr uint32_t kNoList = Coarse::kNoList;

// Queries and their visits, of each list in turn.
struct ListSearch::Groups {
    std::vector<uint32_t> lists, starts{0}, queries, visits;
};

namespace {

// Asks for a list that is next, and what lies beside its codes: the first codes come near, the others into the second
// cache, where they disturb nobody until the list's turn comes.
void fetch(const Partition& partition) {
    constexpr size_t kLine = 64, kNear = 1024, kMost = size_t(64) << 10;
    const Codes& codes = *partition.codes;
    const size_t rows = std::min(codes.n, codes.run(0));
    for (const Column& column : codes.columns) {
        const size_t entries = &column == codes.columns.data() ? (rows + codes.block - 1) / codes.block : rows;
        const size_t bytes = std::min(entries * column.row_bytes(), kMost);
        size_t at = 0;
        for (; at < std::min(bytes, kNear); at += kLine) __builtin_prefetch(column.row(0) + at);
        for (; at < bytes; at += kLine) __builtin_prefetch(column.row(0) + at, 0, 2);
    }
    partition.rows->prefetch(0, rows);
}

}  // namespace

struct ListSearch::Batch {
    size_t n, nprobe;
    std::unique_ptr<TileQueries> queries;
    std::vector<uint32_t> list_of;  // of each query's visits, nearest first; kNoList where there is none
    std::vector<Visit> visits;
    std::vector<const Bitset*> allowed;
    Limits limits;
    std::vector<std::unique_ptr<TileSearch>> workers;
};

// The more queries, the more of them meet a list while it is near; but their tables are to stay near, too: 4,000
// queries of PQ(16) in 4 of 1024 lists take 126 ms 2048 at a time, 40 to 52 ms 128 to 512 at a time.
size_t ListSearch::queries_together(size_t dim) const {
    constexpr size_t kMost = 2048, kVisits = size_t(1) << 20, kTables = size_t(4) << 20;
    const size_t most = std::clamp<size_t>(kVisits / nprobe, 64, kMost), bytes = codec.table_bytes(dim);
    return bytes > 0 ? std::clamp<size_t>(kTables / bytes, 16, most) : most;
}

// Of a query to a list of so many rows. What a visit takes besides its rows, about half a microsecond, does not depend
// on the codes.
double ListSearch::work_of_visit(double length) const {
    constexpr double kBegin = 5e4, kOfRow = 16;
    return kBegin + length * (code_bytes() + kOfRow) / kOfRow;
}

// Threads that share the queries have nothing to agree on, but each reads the lists for itself. That pays where a list
// has a query or two for each thread, or where lists are so short that reading them is no matter: at 25 KB a list
// batches of 64 to 1000 take half to two thirds of the time, at 100 KB as long.
bool ListSearch::shares_queries(size_t share) const {
    constexpr size_t kLeast = 8, kQueriesAList = 2;
    constexpr double kShort = 1 << 16;
    if (share * nprobe >= kQueriesAList * lists.size()) return true;
    return share >= kLeast && code_bytes() * double(rows) <= kShort * double(lists.size());
}

void ListSearch::run(const Rows& queries, const Call& call, Take take) const {
    const size_t block = queries_together(queries.dim);
    const double length = double(rows) / double(lists.size());
    const double a_query = double(queries.dim) * double(lists.size()) + double(nprobe) * work_of_visit(length);
    const auto threads = size_t(threads_for(call, double(queries.n) * a_query));
    const size_t share = (queries.n + threads - 1) / threads;
    if (threads > 1 && shares_queries(share)) {
        parallel_calls(
            queries.n, std::min(share, block), int(threads), call,
            [&](size_t first, size_t n, const Call& part) { run_block(queries.slice(first, n), first, part, take); });
        return;
    }
    for (size_t first = 0; first < queries.n; first += block)
        run_block(queries.slice(first, std::min(block, queries.n - first)), first, call, take);
}

void ListSearch::find_lists(const Rows& queries, const Call& call, Batch& batch) const {
    const size_t n = queries.n * nprobe;
    std::vector<float> scores(n);
    batch.list_of.resize(n);
    batch.visits.resize(n);
    const InnerRows inner(queries, use.metric == Metric::cosine, "the query");  // of bytes, which no one has scaled
    coarse.find(inner.rows(), nprobe, call, batch.list_of.data(), scores.data());
    for (size_t i = 0; i < n; ++i) {
        const uint32_t list = batch.list_of[i];
        if (list == kNoList) continue;
        batch.visits[i] = {&lists.partitions()[list], scores[i]};
        if (spread == 0) continue;
        // Distances are squared, but for bits; those of unit rows and centroids are 2 - 2 q.c.
        const float first = scores[i / nprobe * nprobe];
        const bool ip = is_product(use.metric);
        const double near = ip ? 2 + 2 * double(first) : first, here = ip ? 2 + 2 * double(scores[i]) : scores[i];
        if (here > near * (use.metric == Metric::hamming ? spread : spread * spread)) batch.list_of[i] = kNoList;
    }
}

// Visits of these ranks, list by list. Those of one query, nearest list first.
ListSearch::Groups ListSearch::grouped(const Batch& batch, size_t first_rank, size_t last_rank) const {
    const auto each = [&](auto&& body) {
        for (size_t query = 0; query < batch.n; ++query)
            for (size_t rank = first_rank; rank < last_rank; ++rank) {
                const auto visit = uint32_t(query * nprobe + rank);
                const uint32_t list = batch.list_of[visit];
                if (list != kNoList && lists.length(list) > 0) body(uint32_t(query), visit, list);
            }
    };
    Groups groups;
    if (batch.n == 1) {
        each([&](uint32_t query, uint32_t visit, uint32_t list) {
            groups.lists.push_back(list);
            groups.queries.push_back(query);
            groups.visits.push_back(visit);
            groups.starts.push_back(uint32_t(groups.visits.size()));
        });
        return groups;
    }
    std::vector<uint32_t> next(lists.size() + 1);
    each([&](uint32_t, uint32_t, uint32_t list) { ++next[list + 1]; });
    for (uint32_t list = 0; list < lists.size(); ++list) {
        next[list + 1] += next[list];
        if (next[list + 1] == next[list]) continue;
        groups.lists.push_back(list);
        groups.starts.push_back(next[list + 1]);
    }
    groups.queries.resize(next.back());
    groups.visits.resize(next.back());
    each([&](uint32_t query, uint32_t visit, uint32_t list) {
        groups.queries[next[list]] = query;
        groups.visits[next[list]++] = visit;
    });
    return groups;
}

void ListSearch::visit(Batch& batch, size_t first_rank, size_t last_rank, const Call& call) const {
    constexpr size_t kFewLists = 128;
    const Groups groups = grouped(batch, first_rank, last_rank);
    const std::vector<uint32_t>& starts = groups.starts;
    double work = 0;
    for (size_t i = 0; i < groups.lists.size(); ++i) {
        work += double(starts[i + 1] - starts[i]) * work_of_visit(double(lists.length(groups.lists[i])));
        // The way to a list's codes is a chain of misses: for a few lists, side by side.
        if (groups.lists.size() <= kFewLists)
            __builtin_prefetch(lists.partitions()[groups.lists[i]].codes->block_of(0));
    }
    const int threads = threads_for({int(batch.workers.size()), nullptr}, work);
    parallel_for(groups.lists.size(), threads, call, [&](size_t task, int thread) {
        auto& worker = batch.workers[size_t(thread)];
        if (!worker)
            worker = std::make_unique<TileSearch>(*batch.queries, batch.visits, Allowed{batch.allowed, allowed.few},
                                                  empty, batch.limits, estimates);
        const RowRange all{0, uint32_t(lists.length(groups.lists[task]))};
        if (batch.n > 1 && task + 1 < groups.lists.size()) fetch(lists.partitions()[groups.lists[task + 1]]);
        TilePanel panel;
        for (size_t at = starts[task]; at < starts[task + 1]; at += panel.n) {
            const size_t count = starts[task + 1] - at;
            worker->choose(std::span(groups.queries).subspan(at, count), std::span(groups.visits).subspan(at, count),
                           panel);
            worker->scan(panel, all, at == starts[task]);
            if (nprobe == 1) worker->settle(panel);  // nothing else will tell its rows apart
        }
    });
}

void ListSearch::run_block(const Rows& block, size_t first_query, const Call& call, Take take) const {
    Batch batch{block.n, nprobe, codec.tile_queries(use, block, call), {}, {}, {}, Limits(block.n), {}};
    find_lists(block, call, batch);
    for (size_t i = 0; i < block.n && allowed.sets.size() > 1; ++i)
        batch.allowed.push_back(allowed.of(first_query + i));
    if (allowed.sets.size() == 1) batch.allowed.push_back(allowed.sets[0]);
    batch.workers.resize(size_t(threads_for(call, 1e18)));
    // Tiles without lanes for few queries would take as long for the nearest lists alone as for all.
    const bool first_alone = batch.queries->tiles().single.lanes > 0 || use.metric == Metric::hamming;
    const size_t first = first_alone && block.n > 1 ? 1 : nprobe;
    visit(batch, 0, first, call);
    if (first < nprobe) visit(batch, first, nprobe, call);
    const int threads = block.n >= 16 ? int(batch.workers.size()) : 1;
    parallel_for(block.n, threads, call, [&](size_t query, int) {
        TopK none = empty, *top = nullptr;
        for (const auto& worker : batch.workers) {
            if (!worker || !worker->met(query)) continue;
            TopK& some = worker->result(query);
            top == nullptr ? void(top = &some) : top->merge(some);
        }
        take(first_query + query, (top != nullptr ? top : &none)->sorted());
    });
}

}  // namespace annkit
