// How an IVF index changes: rows come into the lists nearest to them, and go.
#include <algorithm>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/index/graph_lists.h"
#include "annkit/index/ivf.h"
#include "annkit/index/list_rows.h"
#include "annkit/index/unit_rows.h"

namespace annkit {

void Ivf::assign(const Rows& rows, std::vector<uint32_t>& list_of, const Call& call) {
    constexpr size_t kBlock = 65536;
    list_of.resize(rows.n);
    // Comparing rows with so many centroids is no slower than a graph (`bars.py coarse`). By metric "ip" the graph
    // would not find the nearest at all.
    constexpr size_t kCompared = 32768;
    std::optional<GraphLists> by_graph;
    if (graph_ && metric_ != Metric::ip && n_lists_ > kCompared)
        by_graph.emplace(*graph_, graph_rows_, by_direction(), 0);
    const Coarse* coarse = by_graph ? static_cast<const Coarse*>(&*by_graph) : bit_lists_ ? &*bit_lists_ : nullptr;
    if (!coarse && !nearest_) nearest_.emplace(centroids(), dim_, by_direction());
    std::vector<float> scores(coarse ? std::min(kBlock, rows.n) : 0);
    for (size_t first = 0; first < rows.n; first += kBlock) {
        const size_t n = std::min(kBlock, rows.n - first);
        Phase phase(call.monitor, double(first) / double(rows.n), double(first + n) / double(rows.n));
        const Call part{call.threads, phase.monitor()};
        const InnerRows inner(rows.slice(first, n), by_direction(), "the array", center_);
        if (coarse)
            coarse->find(inner.rows(), 1, part, &list_of[first], scores.data());
        else
            nearest_->find(inner.rows(), &list_of[first], nullptr, part);
    }
}

void Ivf::add(const Rows& given, const Ids& ids, bool replace, const Call& call) {
    const Lock change(changing_);
    Lock lock(mutex_);
    check_ready();
    check_writable();
    check_dim(given);
    const std::vector<uint32_t> replaced = members_.check_new(ids, given.n, replace);
    if (given.n == 0) return;
    std::optional<ListRows> bits;
    Phase coded(call.monitor, 0, 0.1);
    if (binary()) bits.emplace(*codec_, metric_, given, "the array", Call{call.threads, coded.monitor()});
    const Rows& rows = bits ? bits->rows() : given;
    Phase first(call.monitor, 0.1, 0.6), rest(call.monitor, 0.6, 1);
    std::vector<uint32_t> list_of;
    assign(rows, list_of, {call.threads, first.monitor()});
    const Arrivals arrivals(list_of, n_lists_);
    std::vector<uint32_t> numbers = arrivals.order;
    const std::vector<int64_t> kept = members_.ids_to_keep(ids, rows.n);
    std::vector<int64_t> by_list(kept.size());
    if (!kept.empty()) {  // rows take their numbers list by list: each list then has a run of them
        std::iota(numbers.begin(), numbers.end(), 0);
        for (size_t i = 0; i < rows.n; ++i) by_list[i] = kept[arrivals.order[i]];
    }
    try {
        lists_->encode(rows, arrivals, numbers, uint32_t(members_.rows()), unit_, center_,
                       [this](size_t list, float* out) { copy_centroid(list, out); }, {call.threads, rest.monitor()});
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        members_.append(kept.empty() ? ids : Ids(by_list), rows.n, !replaced.empty());
    } catch (...) {
        lists_->drop();
        throw;
    }
    lists_->commit();
    if (rows.n >= n_lists_)
        nearest_.reset();  // it takes twice the centroids' memory, and little time to make beside so many
    remove_rows(replaced, lock, {call.threads, nullptr});
}

Index::Undo Ivf::undo() {
    std::shared_lock lock(mutex_);
    return [this, before = members_.mark()] {
        const Lock change(changing_), again(mutex_);
        if (lists_) lists_->truncate(before.rows);
        members_.take_back(before);
    };
}

void Ivf::keep(const std::vector<uint32_t>& live, Lock&, const Call&) { lists_->keep(live); }

}  // namespace annkit
