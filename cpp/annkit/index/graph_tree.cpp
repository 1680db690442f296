#include "annkit/index/graph_tree.h"

#include <algorithm>
#include <span>
#include <unordered_map>

#include "annkit/core/random.h"

namespace annkit {
namespace {

class Tree {
  public:
    explicit Tree(const GraphLayer& layer) : layer_(layer) {}

    void add(uint32_t on, uint32_t node) { coming_[on].push_back(node); }
    bool has_place(uint32_t node) const { return layer_.hanging(node) + coming(node).size() < most(); }
    // From a node without a place down to one that has: by chance, so that many equal rows do not make one long chain.
    uint32_t place_below(uint32_t on, uint32_t node) const {
        Random random(node);
        while (!has_place(on)) {
            const std::span<const uint32_t> more = coming(on);
            auto which = random.below(layer_.hanging(on) + more.size());
            if (which < more.size()) {
                on = more[which];
                continue;
            }
            const uint32_t* link = layer_.links(on);
            for (which -= more.size();; ++link)
                if ((*link & GraphLayer::kHangs) && which-- == 0) break;
            on = *link & GraphLayer::kNode;
        }
        return on;
    }

  private:
    // Enough to find a place near, few enough to leave a node links of its own choice.
    size_t most() const { return layer_.degree() / 2; }
    std::span<const uint32_t> coming(uint32_t node) const {
        const auto found = coming_.find(node);
        return found == coming_.end() ? std::span<const uint32_t>() : found->second;
    }

    const GraphLayer& layer_;
    std::unordered_map<uint32_t, std::vector<uint32_t>> coming_;
};

}  // namespace

std::vector<uint32_t> hang(const GraphLayer& layer, uint32_t first, uint32_t last) {
    Tree tree(layer);
    std::vector<uint32_t> on;
    on.reserve(last - first);
    for (uint32_t node = first; node < last; ++node) {
        if (node == 0) {
            on.push_back(GraphLayer::kNone);
            continue;
        }
        const uint32_t *begin = layer.links(node), *end = begin + layer.count(node);
        const auto earlier = [node](uint32_t to) { return (to & GraphLayer::kNode) < node; };
        const auto* near = std::find_if(
            begin, end, [&](uint32_t to) { return earlier(to) && tree.has_place(to & GraphLayer::kNode); });
        if (near == end) near = std::find_if(begin, end, earlier);
        const uint32_t found = tree.place_below(near == end ? 0 : *near & GraphLayer::kNode, node);
        tree.add(found, node);
        on.push_back(found);
    }
    return on;
}

}  // namespace annkit
