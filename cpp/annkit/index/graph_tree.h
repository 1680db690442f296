// What keeps every node of a layer within reach: each hangs on an earlier one (see GraphLayer).
#pragma once

#include <vector>

#include "annkit/index/graph.h"

namespace annkit {

// What each of the nodes from first on hangs on: the nearest of its links that came earlier and has a place; otherwise,
// on the way down from there, whatever has one. kNone for the layer's first node.
std::vector<uint32_t> hang(const GraphLayer& layer, uint32_t first, uint32_t last);

}  // namespace annkit
