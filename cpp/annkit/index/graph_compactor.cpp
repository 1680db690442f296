#include "annkit/index/graph_compactor.h"

#include <algorithm>

#include "annkit/index/graph_tree.h"

namespace annkit {
namespace {

constexpr size_t kNodesATask = 64;

// One layer without the nodes of removed rows.
class LayerCompactor {
  public:
    // fresh: what each node becomes; kNone: nothing.
    LayerCompactor(const GraphLayer& old, const GraphSource& source, std::vector<uint32_t> fresh)
        : old_(old), source_(source), fresh_(std::move(fresh)) {
        for (uint32_t node = 0; node < old.size(); ++node)
            if (fresh_[node] != GraphLayer::kNone) kept_.push_back(node);
    }
    const std::vector<uint32_t>& fresh() const { return fresh_; }
    const std::vector<uint32_t>& kept() const { return kept_; }

    void run(GraphLayer& into, const Call& call) {
        const double work = double(kept_.size()) * double(old_.degree()) * 8 * double(source_.dim);
        const int threads = threads_for(call, work);
        std::vector<std::unique_ptr<GraphPruner>> pruners{size_t(threads)};
        parallel_for((kept_.size() + kNodesATask - 1) / kNodesATask, threads, call, [&](size_t task, int thread) {
            auto& pruner = pruners[size_t(thread)];
            if (!pruner) pruner = std::make_unique<GraphPruner>(source_);
            for (size_t i = task * kNodesATask; i < std::min(kept_.size(), (task + 1) * kNodesATask); ++i)
                into.set(uint32_t(i), repaired(kept_[i], *pruner));
        });
        into.grow(kept_.size());
        hang_all(into);
    }

  private:
    bool stays(uint32_t node) const { return fresh_[node] != GraphLayer::kNone; }

    // Its links that stay, and what those that do not stay lead to, at once or by way of others that do not.
    std::vector<uint32_t> repaired(uint32_t node, GraphPruner& pruner) const {
        constexpr size_t kMostGone = 512;
        const size_t wanted = 2 * old_.degree();
        std::vector<uint32_t> links, gone;
        const auto meet = [&](uint32_t from) {
            for (uint32_t link : std::span(old_.links(from), old_.count(from))) {
                const uint32_t to = link & GraphLayer::kNode;
                auto& kind = stays(to) ? links : gone;
                if (to != node && std::find(kind.begin(), kind.end(), to) == kind.end()) kind.push_back(to);
            }
        };
        meet(node);
        const size_t own = gone.size();
        for (size_t i = 0; i < gone.size() && i < kMostGone && (i < own || links.size() < wanted); ++i) meet(gone[i]);
        if (own > 0 && links.size() > chosen_links(old_.degree())) {
            std::vector<Near> candidates;
            for (uint32_t link : links) candidates.push_back({0, link});
            pruner.rank(old_, node, candidates);
            pruner.choose(old_, chosen_links(old_.degree()), candidates);
            links.clear();
            for (const Near& near : candidates) links.push_back(near.node);
        }
        for (uint32_t& link : links) link = fresh_[link];
        return links;
    }

    // Links that hold a node come first in their place: of a full node, the last link that holds none gives way.
    static void hang_all(GraphLayer& layer) {
        const std::vector<uint32_t> on = hang(layer, 0, uint32_t(layer.size()));
        for (uint32_t node = 1; node < on.size(); ++node) {
            const uint32_t* held = layer.links(on[node]);
            std::vector<uint32_t> links(held, held + layer.count(on[node]));
            auto at = std::find(links.begin(), links.end(), node);
            if (at == links.end() && links.size() < layer.degree()) at = links.insert(at, node);
            while (at == links.end() || (at != links.end() && (*at != node && (*at & GraphLayer::kHangs)))) --at;
            *at = node | GraphLayer::kHangs;
            layer.set(on[node], links);
        }
    }

    const GraphLayer& old_;
    const GraphSource& source_;
    std::vector<uint32_t> fresh_, kept_;
};

}  // namespace

Graph without_removed(const Graph& graph, const GraphSource& source, const std::vector<uint32_t>& live,
                      const Call& call) {
    Graph out(graph.degree());
    out.set_room(graph.room());
    std::vector<uint32_t> row_becomes(graph.size(), GraphLayer::kNone), below;
    for (uint32_t i = 0; i < live.size(); ++i) row_becomes[live[i]] = i;
    for (size_t l = 0; l < graph.layers(); ++l) {
        const GraphLayer& old = graph.layer(l);
        std::vector<uint32_t> fresh(old.size(), GraphLayer::kNone);
        uint32_t n = 0;
        for (uint32_t node = 0; node < old.size(); ++node)
            if (row_becomes[old.row(node)] != GraphLayer::kNone) fresh[node] = n++;
        if (n == 0) break;
        GraphLayer& layer = out.push_layer();
        layer.reserve(n);
        LayerCompactor compactor(old, source, std::move(fresh));
        for (uint32_t i = 0; l > 0 && i < n; ++i) {
            const uint32_t node = compactor.kept()[i];
            layer.name(i, row_becomes[old.row(node)], below[old.below(node)]);
        }
        compactor.run(layer, call);
        below = compactor.fresh();
    }
    return out;
}

}  // namespace annkit
