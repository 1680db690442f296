// The graph of HNSW (Malkov, Yashunin 2018): layers of nodes with links to near nodes. The base layer has a node for
// every row, each layer above it one for a sample of the nodes below, whose links lead a search near its goal.
//
// Every node but a layer's first hangs on an earlier one: that one has a link to it which pruning may not cut. So all
// nodes of a layer can be reached from its first, whatever the rows are.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/core/bitset.h"
#include "annkit/core/column.h"

namespace annkit {

class Reader;
class Writer;

class GraphLayer {
  public:
    static constexpr uint32_t kNone = UINT32_MAX;          // behind a node's last link
    static constexpr uint32_t kHangs = uint32_t(1) << 31;  // the node that this link leads to hangs on it
    static constexpr uint32_t kNode = kHangs - 1;

    GraphLayer(size_t degree, bool base);

    size_t size() const { return n_; }
    size_t degree() const { return degree_; }
    bool is_base() const { return base_; }
    const uint32_t* links(uint32_t node) const { return links_.at<uint32_t>(node); }
    const Column& link_column() const { return links_; }
    size_t count(uint32_t node) const;
    size_t hanging(uint32_t node) const;  // how many nodes hang on it
    uint32_t row(uint32_t node) const { return base_ ? node : *rows_.at<uint32_t>(node); }
    uint32_t below(uint32_t node) const { return *below_.at<uint32_t>(node); }  // the same row, a layer down
    size_t nbytes() const;
    struct Stats {
        size_t nodes, parts;          // parts: of nodes that links connect, in whatever direction
        std::vector<size_t> degrees;  // how many nodes have so many links
    };
    Stats stats() const;
    bool is_view() const { return links_.is_view(); }

    void reserve(size_t nodes);   // places behind the last node, which nobody reads before they count
    void set_room(size_t nodes);  // places for so many nodes, which stay until another room is set
    void set(uint32_t node, std::span<const uint32_t> links);
    void name(uint32_t node, uint32_t row, uint32_t below);  // not of the base
    void grow(size_t nodes) { n_ = nodes; }                  // so many count from now on
    void release_spare();

    void save(Writer& out) const;
    // Checks that links lead to nodes that are there, and that nodes stand for the same rows as those below them.
    void load(const Reader& in, size_t nodes, const GraphLayer* under);

  private:
    void check_links(const Reader& in) const;

    size_t degree_;
    bool base_;
    size_t n_ = 0, room_ = 0;
    Column links_, rows_, below_;
};

class Graph {
  public:
    explicit Graph(size_t degree) : degree_(degree) {}

    size_t degree() const { return degree_; }
    size_t size() const { return layers_.empty() ? 0 : layers_[0]->size(); }  // rows
    size_t layers() const { return layers_.size(); }
    size_t top() const;  // the highest layer with nodes; of a graph that has some
    const GraphLayer& layer(size_t l) const { return *layers_[l]; }
    GraphLayer& layer(size_t l) { return *layers_[l]; }
    GraphLayer& push_layer();
    void set_room(size_t rows);  // of layers to come, too
    size_t room() const { return room_; }
    void pop_layer() { layers_.pop_back(); }
    // The layers that a row has a node in, besides the base: each as often as one in degree / 2 of the layer below.
    size_t level_of(uint32_t row) const;

    size_t nbytes() const;
    bool is_view() const { return !layers_.empty() && layers_[0]->is_view(); }
    void save(Writer& out) const;
    void load(const Reader& in, size_t rows);

  private:
    size_t room_in(size_t l) const;  // nodes

    size_t degree_, room_ = 0;
    std::vector<std::unique_ptr<GraphLayer>> layers_;
};

// What a change that may fail has to put back: the links of nodes that were there before it.
class GraphJournal {
  public:
    explicit GraphJournal(Graph& graph);
    void keep(size_t layer, uint32_t node);  // before its links change
    void undo();                             // never throws

  private:
    struct Kept {
        size_t before;  // nodes
        Bitset seen;
        std::vector<uint32_t> nodes, links;
    };
    Graph& graph_;
    std::vector<Kept> layers_;
};

}  // namespace annkit
