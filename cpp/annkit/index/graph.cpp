#include "annkit/index/graph.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

constexpr size_t kMostLayers = 16;
constexpr uint64_t kLevelSeed = 0x616e6e6b69740001;  // of the levels: rows have them by their number alone

size_t slab_rows(size_t degree) { return Column::slab_rows_for(degree * sizeof(uint32_t)); }

void save_column(Writer& out, std::string_view name, const Column& column, size_t n) {
    out.bytes(name, SectionType::u32, column.row_bytes() / sizeof(uint32_t), column.pieces(n));
}

void load_column(const Reader& in, std::string_view name, Column& column, size_t n) {
    const size_t width = column.row_bytes() / sizeof(uint32_t);
    check<FormatError>(in.rows(name) == n, in.file(), ": section ", name, " has ", in.rows(name), " rows, expected ",
                       n);
    if (in.is_mapped()) {
        const auto values = in.array<uint32_t>(name, n, width);
        column = Column::view(column.row_bytes(), column.slab_rows(), std::as_bytes(values), in.storage());
        return;
    }
    column.reserve(n);
    Reader::Pieces pieces;
    for (size_t i = 0; i < n; i += column.run(i))
        pieces.push_back({column.row(i), std::min(column.run(i), n - i) * column.row_bytes()});
    in.read_into(name, SectionType::u32, width, pieces);
}

}  // namespace

GraphLayer::GraphLayer(size_t degree, bool base)
    : degree_(degree),
      base_(base),
      links_(degree * sizeof(uint32_t), slab_rows(degree)),
      rows_(sizeof(uint32_t), slab_rows(degree)),
      below_(sizeof(uint32_t), slab_rows(degree)) {}

size_t GraphLayer::count(uint32_t node) const {
    const uint32_t* all = links(node);
    return size_t(std::find(all, all + degree_, kNone) - all);
}

size_t GraphLayer::hanging(uint32_t node) const {
    const uint32_t* all = links(node);
    return size_t(std::count_if(all, all + degree_, [](uint32_t link) { return link != kNone && (link & kHangs); }));
}

size_t GraphLayer::nbytes() const { return links_.nbytes(n_) + rows_.nbytes(n_) + below_.nbytes(n_); }

GraphLayer::Stats GraphLayer::stats() const {
    Stats stats{n_, n_, std::vector<size_t>(degree_ + 1)};
    std::vector<uint32_t> part(n_);  // of each node, one of the same part; the part's first stands for itself
    std::iota(part.begin(), part.end(), 0u);
    const auto first_of = [&part](uint32_t node) {
        while (part[node] != node) node = part[node] = part[part[node]];
        return node;
    };
    for (uint32_t node = 0; node < n_; ++node) {
        const size_t own = count(node);
        ++stats.degrees[own];
        for (size_t i = 0; i < own; ++i) {
            const uint32_t a = first_of(node), b = first_of(links(node)[i] & kNode);
            if (a == b) continue;
            part[std::max(a, b)] = std::min(a, b);
            --stats.parts;
        }
    }
    return stats;
}

void GraphLayer::reserve(size_t nodes) {
    links_.reserve(nodes);
    if (base_) return;
    rows_.reserve(nodes);
    below_.reserve(nodes);
}

void GraphLayer::set(uint32_t node, std::span<const uint32_t> links) {
    auto* to = links_.at<uint32_t>(node);
    std::copy(links.begin(), links.end(), to);
    std::fill(to + links.size(), to + degree_, kNone);
}

void GraphLayer::name(uint32_t node, uint32_t row, uint32_t below) {
    *rows_.at<uint32_t>(node) = row;
    *below_.at<uint32_t>(node) = below;
}

void GraphLayer::set_room(size_t nodes) {
    room_ = nodes;
    reserve(std::max(n_, nodes));
    release_spare();
}

void GraphLayer::release_spare() {
    for (Column* column : {&links_, &rows_, &below_}) column->release_beyond(std::max(n_, room_));
}

void GraphLayer::save(Writer& out) const {
    save_column(out, "links", links_, n_);
    if (base_) return;
    save_column(out, "rows", rows_, n_);
    save_column(out, "below", below_, n_);
}

void GraphLayer::load(const Reader& in, size_t nodes, const GraphLayer* under) {
    load_column(in, "links", links_, nodes);
    n_ = nodes;
    check_links(in);
    if (base_) return;
    load_column(in, "rows", rows_, nodes);
    load_column(in, "below", below_, nodes);
    for (uint32_t node = 0; node < nodes; ++node) {
        const bool rises = node == 0 || row(node) > row(node - 1);
        const bool same = below(node) < under->size() && under->row(below(node)) == row(node);
        check<FormatError>(rises && same, in.file(), ": node ", node, " of a layer stands for row ", row(node),
                           ", the node below it for another");
    }
}

void GraphLayer::check_links(const Reader& in) const {
    for (uint32_t node = 0; node < n_; ++node) {
        const uint32_t* all = links(node);
        bool ended = false;
        for (size_t i = 0; i < degree_; ++i) {
            const uint32_t to = all[i] & kNode;
            ended = ended || all[i] == kNone;
            const bool right = ended ? all[i] == kNone : to < n_ && (to > node || !(all[i] & kHangs));
            check<FormatError>(right, in.file(), ": node ", node, " of ", n_, " has a link to ", to);
        }
    }
}

GraphLayer& Graph::push_layer() {
    const bool base = layers_.empty();
    auto layer = std::make_unique<GraphLayer>(base ? degree_ : std::max<size_t>(degree_ / 2, 4), base);
    if (room_ > 0) layer->set_room(room_in(layers_.size()));
    layers_.push_back(std::move(layer));
    return *layers_.back();
}

void Graph::set_room(size_t rows) {
    room_ = rows;
    for (size_t l = 0; l < layers_.size(); ++l) layers_[l]->set_room(room_in(l));
}

// Above the base chance decides: as many as are expected, and six standard deviations.
size_t Graph::room_in(size_t l) const {
    if (l == 0 || room_ == 0) return room_;
    const double expected = double(room_) / std::pow(double(std::max<size_t>(degree_ / 2, 2)), double(l));
    return std::min(room_, size_t(expected + 6 * std::sqrt(expected)) + 8);
}

size_t Graph::top() const {
    size_t l = layers_.size() - 1;
    while (l > 0 && layers_[l]->size() == 0) --l;
    return l;
}

size_t Graph::level_of(uint32_t row) const {
    Random random(kLevelSeed + row);
    size_t level = 0;
    while (level + 1 < kMostLayers && random.below(std::max<size_t>(degree_ / 2, 2)) == 0) ++level;
    return level;
}

size_t Graph::nbytes() const {
    size_t total = 0;
    for (const auto& layer : layers_) total += layer->nbytes();
    return total;
}

void Graph::save(Writer& out) const {
    std::vector<uint32_t> sizes;
    for (const auto& layer : layers_) sizes.push_back(uint32_t(layer->size()));
    out.array("layers", std::move(sizes));
    for (size_t l = 0; l < layers_.size(); ++l) {
        Writer inner = out.child(concat("layer", l), "graph_layer");
        layers_[l]->save(inner);
    }
}

void Graph::load(const Reader& in, size_t rows) {
    const uint64_t count = in.rows("layers");
    check<FormatError>(count <= kMostLayers && (count > 0) == (rows > 0), in.file(), ": a graph of ", count,
                       " layers with ", rows, " rows");
    const auto sizes = in.array<uint32_t>("layers", count);
    check<FormatError>(count == 0 || sizes[0] == rows, in.file(), ": the graph does not have a node for each row");
    for (size_t l = 0; l < count; ++l) {
        check<FormatError>(sizes[l] > 0 && (l == 0 || sizes[l] <= sizes[l - 1]) && sizes[l] <= GraphLayer::kNode,
                           in.file(), ": layer ", l, " has ", sizes[l], " nodes");
        push_layer().load(in.child(concat("layer", l)), sizes[l], l == 0 ? nullptr : layers_[l - 1].get());
    }
}

GraphJournal::GraphJournal(Graph& graph) : graph_(graph) {
    for (size_t l = 0; l < graph.layers(); ++l)
        layers_.push_back({graph.layer(l).size(), Bitset(graph.layer(l).size()), {}, {}});
}

void GraphJournal::keep(size_t layer, uint32_t node) {
    if (layer >= layers_.size()) return;
    Kept& kept = layers_[layer];
    if (node >= kept.before || kept.seen.test(node)) return;
    const uint32_t* links = graph_.layer(layer).links(node);
    kept.links.insert(kept.links.end(), links, links + graph_.layer(layer).degree());
    try {
        kept.nodes.push_back(node);
    } catch (...) {
        kept.links.resize(kept.nodes.size() * graph_.layer(layer).degree());
        throw;
    }
    kept.seen.set(node);
}

void GraphJournal::undo() {
    while (graph_.layers() > layers_.size()) graph_.pop_layer();
    for (size_t l = 0; l < layers_.size(); ++l) {
        GraphLayer& layer = graph_.layer(l);
        const std::span<const uint32_t> links(layers_[l].links);
        for (size_t i = 0; i < layers_[l].nodes.size(); ++i)
            layer.set(layers_[l].nodes[i], links.subspan(i * layer.degree(), layer.degree()));
        layer.grow(layers_[l].before);
        layer.release_spare();
    }
}

}  // namespace annkit
