// A graph without the rows that were removed: a node with links to such rows gets links to what those led to (Singh et
// al., FreshDiskANN, 2021, algorithm 4).
#pragma once

#include "annkit/core/parallel.h"
#include "annkit/index/graph.h"
#include "annkit/index/graph_builder.h"

namespace annkit {

// live: the rows that stay, rising; row live[i] becomes row i. Distances are those of the rows as they are numbered
// now.
Graph without_removed(const Graph& graph, const GraphSource& source, const std::vector<uint32_t>& live,
                      const Call& call);

}  // namespace annkit
