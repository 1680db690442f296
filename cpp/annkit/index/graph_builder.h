// Adding rows to a graph. They come in batches: all rows of a batch look for their neighbours in the graph as it is, in
// parallel; then the links back to them are grouped by the node that they start from, and each such node is pruned
// once. So the graph depends on the rows and their order alone, not on threads. While rows look, searches may run
// beside.
#pragma once

#include <memory>
#include <vector>

#include "annkit/core/fair_mutex.h"
#include "annkit/core/parallel.h"
#include "annkit/index/graph.h"
#include "annkit/index/graph_pruner.h"
#include "annkit/index/graph_walk.h"

namespace annkit {

class GraphBuilder {
  public:
    // mutex: of the graph; held alone only while links are written.
    GraphBuilder(Graph& graph, const GraphSource& source, size_t ef_build, FairMutex& mutex);

    // Nodes for the rows up to this one. If it throws, the journal puts back what was.
    void add(size_t rows, GraphJournal& journal, const Call& call);

  private:
    // The rows of a batch that get a node in a layer: its nodes from first on.
    struct Wave {
        size_t layer;
        uint32_t first;
        std::vector<uint32_t> rows;
        uint32_t last() const { return first + uint32_t(rows.size()); }
    };
    struct Link {
        uint32_t from, to;  // to may have kHangs
        auto operator<=>(const Link&) const = default;
    };
    // Links to be added, by the nodes they start from, and what these nodes then have.
    struct Update {
        std::vector<Link> links;
        std::vector<size_t> groups;  // where a node's links begin; at the end, how many links there are
        std::vector<uint32_t> lists;
        std::vector<uint32_t> nodes() const {
            std::vector<uint32_t> all;
            for (size_t g = 0; g + 1 < groups.size(); ++g) all.push_back(links[groups[g]].from);
            return all;
        }
    };
    struct Worker {
        GraphWalk::Scratch scratch;
        std::unique_ptr<GraphWalk> walk;
        std::unique_ptr<GraphPruner> pruner;
        float own_score;  // of the row and itself
        std::vector<Near> candidates;
        std::vector<uint32_t> links;
    };
    Worker& worker(int thread);
    void add_batch(uint32_t first, uint32_t last, GraphJournal& journal, const Call& call);
    std::vector<Wave> plan(uint32_t first, uint32_t last) const;
    void make_room(const std::vector<Wave>& waves);
    void look(const std::vector<Wave>& waves, const Call& call);
    void look(const std::vector<Wave>& waves, uint32_t row, Worker& worker);
    void look_at_all(const Wave& wave, uint32_t node, Worker& worker);
    void take_links(const Wave& wave, uint32_t node, Worker& worker);
    bool take_twin(const GraphLayer& layer, uint32_t node, Worker& worker) const;
    bool equal(uint32_t row, uint32_t other) const;
    Update links_back(const Wave& wave, const Call& call);
    void merge(const GraphLayer& layer, Update& update, size_t group, Worker& worker) const;

    Graph& graph_;
    GraphSource source_;
    size_t ef_build_;
    FairMutex& mutex_;
    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace annkit
