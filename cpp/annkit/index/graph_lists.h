// Lists found by a graph of their centroids: where these are too many to compare a query with all of them.
#pragma once

#include <span>

#include "annkit/index/coarse.h"
#include "annkit/index/index.h"

namespace annkit {

class GraphLists final : public Coarse {
  public:
    // graph: an index of the centroids, whose ids are the lists' numbers. ef: as the graph takes it.
    // centroids: none of a graph of bits, whose distances are the scores.
    GraphLists(const Index& graph, std::span<const float> centroids, bool ip, size_t ef)
        : graph_(graph), centroids_(centroids), ip_(ip), ef_(ef) {}
    void find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const override;

  private:
    void score(const float* query, size_t nprobe, uint32_t* lists, float* scores) const;

    const Index& graph_;
    std::span<const float> centroids_;
    bool ip_;
    size_t ef_;
};

}  // namespace annkit
