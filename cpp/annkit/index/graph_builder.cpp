#include "annkit/index/graph_builder.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <numeric>
#include <shared_mutex>

#include "annkit/index/graph_tree.h"

namespace annkit {
namespace {

// The first rows are compared with each other, one by one.
constexpr size_t kFirstBatch = 256;
// Rows of a batch do not see each other: it stays small beside the graph.
constexpr size_t kBatchShare = 32, kMostRows = 16384;
// The share of a batch's time that its rows look for neighbours, as progress is shown.
constexpr double kLooking = 0.7;

}  // namespace

GraphBuilder::GraphBuilder(Graph& graph, const GraphSource& source, size_t ef_build, FairMutex& mutex)
    : graph_(graph), source_(source), ef_build_(ef_build), mutex_(mutex) {}

GraphBuilder::Worker& GraphBuilder::worker(int thread) {
    auto& mine = workers_[size_t(thread)];
    if (mine) return *mine;
    mine = std::make_unique<Worker>();
    mine->walk = std::make_unique<GraphWalk>(graph_, source_.scorer(), mine->scratch);
    mine->pruner = std::make_unique<GraphPruner>(source_);
    return *mine;
}

void GraphBuilder::add(size_t rows, GraphJournal& journal, const Call& call) {
    const size_t start = graph_.size();
    while (graph_.size() < rows) {
        const size_t n = graph_.size();
        const size_t most = n == 0 ? kFirstBatch : std::clamp<size_t>(n / kBatchShare, 1, kMostRows);
        const size_t last = std::min(n + most, rows);
        const double all = double(rows - start);
        Phase phase(call.monitor, double(n - start) / all, double(last - start) / all);
        add_batch(uint32_t(n), uint32_t(last), journal, {call.threads, phase.monitor()});
    }
}

std::vector<GraphBuilder::Wave> GraphBuilder::plan(uint32_t first, uint32_t last) const {
    std::vector<Wave> waves;
    for (uint32_t row = first; row < last; ++row)
        for (size_t l = 0; l <= graph_.level_of(row); ++l) {
            if (l == waves.size()) waves.push_back({l, uint32_t(l < graph_.layers() ? graph_.layer(l).size() : 0), {}});
            waves[l].rows.push_back(row);
        }
    return waves;
}

// Also says which rows the new nodes stand for. They do not count yet.
void GraphBuilder::make_room(const std::vector<Wave>& waves) {
    std::unique_lock lock(mutex_);
    for (const Wave& wave : waves) {
        GraphLayer& layer = wave.layer < graph_.layers() ? graph_.layer(wave.layer) : graph_.push_layer();
        layer.reserve(wave.last());
        if (wave.layer == 0) continue;
        const Wave& under = waves[wave.layer - 1];
        size_t below = 0;
        for (size_t i = 0; i < wave.rows.size(); ++i) {
            while (under.rows[below] != wave.rows[i]) ++below;
            layer.name(wave.first + uint32_t(i), wave.rows[i], under.first + uint32_t(below));
        }
    }
}

void GraphBuilder::add_batch(uint32_t first, uint32_t last, GraphJournal& journal, const Call& call) {
    const std::vector<Wave> waves = plan(first, last);
    make_room(waves);
    const double cost = double(ef_build_) * double(graph_.degree()) * double(source_.dim);
    const int threads = threads_for(call, double(last - first) * cost);
    workers_.resize(std::max(workers_.size(), size_t(threads)));
    std::vector<Update> updates(waves.size());
    {
        std::shared_lock lock(mutex_);
        Phase looking(call.monitor, 0, kLooking);
        look(waves, {threads, looking.monitor()});
        double from = kLooking;
        for (const Wave& wave : waves) {
            Phase merging(call.monitor, from, (from + 1) / 2);
            updates[wave.layer] = links_back(wave, {threads, merging.monitor()});
            for (uint32_t node : updates[wave.layer].nodes()) journal.keep(wave.layer, node);
            from = (from + 1) / 2;
        }
    }
    std::unique_lock lock(mutex_);
    for (const Wave& wave : waves) {
        GraphLayer& layer = graph_.layer(wave.layer);
        const std::vector<uint32_t> nodes = updates[wave.layer].nodes();
        const std::span<const uint32_t> lists(updates[wave.layer].lists);
        for (size_t i = 0; i < nodes.size(); ++i)
            layer.set(nodes[i], lists.subspan(i * layer.degree(), layer.degree()));
        layer.grow(wave.last());
    }
}

void GraphBuilder::look(const std::vector<Wave>& waves, const Call& call) {
    constexpr size_t kRowsATask = 8;
    const std::vector<uint32_t>& rows = waves[0].rows;
    parallel_for((rows.size() + kRowsATask - 1) / kRowsATask, call.threads, call, [&](size_t task, int thread) {
        for (size_t i = task * kRowsATask; i < std::min(rows.size(), (task + 1) * kRowsATask); ++i)
            look(waves, rows[i], worker(thread));
    });
}

void GraphBuilder::look(const std::vector<Wave>& waves, uint32_t row, Worker& worker) {
    const auto node_in = [&](const Wave& wave) {
        return wave.first + uint32_t(std::lower_bound(wave.rows.begin(), wave.rows.end(), row) - wave.rows.begin());
    };
    // Many rows that are equally far do not keep all others out.
    const size_t most_equal = std::max<size_t>(ef_build_ / 4, 4);
    const size_t level = graph_.level_of(row);
    worker.walk->scorer().query_row(row);
    worker.walk->scorer().score(&row, 1, &worker.own_score);
    size_t l = level + 1;
    for (; l > 0 && waves[l - 1].first == 0; --l) look_at_all(waves[l - 1], node_in(waves[l - 1]), worker);
    if (l == 0) return;
    uint32_t start = worker.walk->descend(l - 1);
    for (; l > 0; --l) {
        const GraphLayer& layer = graph_.layer(l - 1);
        const NearPool& pool = worker.walk->near(l - 1, start, {ef_build_, most_equal});
        worker.candidates.clear();
        for (size_t i = 0; i < pool.size(); ++i) worker.candidates.push_back(pool[i]);
        if (l > 1) start = layer.below(pool.size() > 0 ? pool[0].node : start);
        take_links(waves[l - 1], node_in(waves[l - 1]), worker);
    }
}

// The first nodes of a layer, which cannot be found in it.
void GraphBuilder::look_at_all(const Wave& wave, uint32_t node, Worker& worker) {
    worker.candidates.clear();
    for (uint32_t other = wave.first; other < wave.last(); ++other)
        if (other != node) worker.candidates.push_back({0, other});
    worker.pruner->rank(graph_.layer(wave.layer), node, worker.candidates);
    if (worker.candidates.size() > ef_build_) worker.candidates.resize(ef_build_);
    take_links(wave, node, worker);
}

void GraphBuilder::take_links(const Wave& wave, uint32_t node, Worker& worker) {
    GraphLayer& layer = graph_.layer(wave.layer);
    worker.links.clear();
    if (!take_twin(layer, node, worker)) {
        worker.pruner->choose(layer, chosen_links(layer.degree()), worker.candidates);
        for (const Near& near : worker.candidates) worker.links.push_back(near.node);
    }
    layer.set(node, worker.links);
}

// A row that is there already leads to its equal and no farther: thousands of equal rows would take each other's links,
// and walks that came among them would not find a way out.
bool GraphBuilder::take_twin(const GraphLayer& layer, uint32_t node, Worker& worker) const {
    uint32_t twin = GraphLayer::kNone;
    for (const Near& near : worker.candidates) {
        if (near.score > worker.own_score) break;
        if (near.score == worker.own_score && near.node < std::min(node, twin) &&
            equal(layer.row(near.node), layer.row(node)))
            twin = near.node;
    }
    if (twin != GraphLayer::kNone) worker.links.push_back(twin);
    return twin != GraphLayer::kNone;
}

bool GraphBuilder::equal(uint32_t row, uint32_t other) const {
    const Codes& codes = source_.codes;
    std::vector<std::byte> a(codes.code_bytes()), b(codes.code_bytes());
    codes.get(row, a.data());
    codes.get(other, b.data());
    bool same = a == b;
    for (size_t c = 1; c < codes.columns.size() && same; ++c)
        same = std::memcmp(codes.columns[c].row(row), codes.columns[c].row(other), codes.columns[c].row_bytes()) == 0;
    return same;
}

// The links back to the wave's nodes, with those by which they hang; and what the nodes that these start from then
// have.
GraphBuilder::Update GraphBuilder::links_back(const Wave& wave, const Call& call) {
    constexpr size_t kNodesATask = 64;
    const GraphLayer& layer = graph_.layer(wave.layer);
    const std::vector<uint32_t> on = hang(layer, wave.first, wave.last());
    Update update;
    for (uint32_t node = wave.first; node < wave.last(); ++node) {
        const uint32_t* links = layer.links(node);
        const uint32_t held_by = on[node - wave.first];
        for (size_t i = 0; i < layer.count(node); ++i)
            if (links[i] != held_by) update.links.push_back({links[i], node});
        if (held_by != GraphLayer::kNone) update.links.push_back({held_by, node | GraphLayer::kHangs});
    }
    std::sort(update.links.begin(), update.links.end());
    for (size_t i = 0; i < update.links.size(); ++i)
        if (i == 0 || update.links[i].from != update.links[i - 1].from) update.groups.push_back(i);
    const size_t groups = update.groups.size();
    update.lists.resize(groups * layer.degree());
    update.groups.push_back(update.links.size());
    parallel_for((groups + kNodesATask - 1) / kNodesATask, call.threads, call, [&](size_t task, int thread) {
        for (size_t g = task * kNodesATask; g < std::min(groups, (task + 1) * kNodesATask); ++g)
            merge(layer, update, g, worker(thread));
    });
    return update;
}

void GraphBuilder::merge(const GraphLayer& layer, Update& update, size_t group, Worker& worker) const {
    const size_t degree = layer.degree();
    const uint32_t node = update.links[update.groups[group]].from;
    const uint32_t* held = layer.links(node);
    std::vector<uint32_t>& links = worker.links;
    links.assign(held, held + layer.count(node));
    for (size_t i = update.groups[group]; i < update.groups[group + 1]; ++i) {
        const uint32_t added = update.links[i].to;
        const auto same = std::find(links.begin(), links.end(), added & GraphLayer::kNode);
        same == links.end() ? links.push_back(added) : void(*same = added);
    }
    if (links.size() > degree) {
        worker.candidates.clear();
        for (uint32_t link : links) worker.candidates.push_back({0, link});
        worker.pruner->rank(layer, node, worker.candidates);
        worker.pruner->choose(layer, chosen_links(degree), worker.candidates);
        links.clear();
        for (const Near& near : worker.candidates) links.push_back(near.node);
    }
    uint32_t* to = &update.lists[group * degree];
    std::fill(std::copy(links.begin(), links.end(), to), to + degree, GraphLayer::kNone);
}

}  // namespace annkit
