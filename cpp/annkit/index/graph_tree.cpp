#include "annkit/index/graph_tree.h"

#include <algorithm>
#include <unordered_map>

namespace annkit {
namespace {

class Tree {
  public:
    explicit Tree(const GraphLayer& layer) : layer_(layer) {}

    bool has_place(uint32_t node) const {
        const auto more = coming_.find(node);
        return layer_.hanging(node) + (more == coming_.end() ? 0 : more->second.count) < most();
    }
    uint32_t last_on(uint32_t node) const {
        if (const auto more = coming_.find(node); more != coming_.end()) return more->second.last;
        const uint32_t* links = layer_.links(node);
        size_t i = layer_.count(node) - 1;
        while (!(links[i] & GraphLayer::kHangs)) --i;
        return links[i] & GraphLayer::kNode;
    }
    void add(uint32_t on, uint32_t node) {
        Coming& more = coming_[on];
        more = {more.count + 1, node};
    }

  private:
    // Enough to find a place near, few enough to leave a node links of its own choice.
    size_t most() const { return layer_.degree() / 2; }

    struct Coming {
        size_t count = 0;
        uint32_t last = 0;
    };
    const GraphLayer& layer_;
    std::unordered_map<uint32_t, Coming> coming_;
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
        uint32_t found = near == end ? 0 : *near & GraphLayer::kNode;
        while (!tree.has_place(found)) found = tree.last_on(found);
        tree.add(found, node);
        on.push_back(found);
    }
    return on;
}

}  // namespace annkit
