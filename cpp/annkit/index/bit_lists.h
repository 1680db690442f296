// Which lists of packed codes a query visits: the centroids nearest by Hamming distance, all of them compared.
#pragma once

#include "annkit/index/coarse.h"
#include "annkit/math/nearest_codes.h"

namespace annkit {

class BitLists final : public Coarse {
  public:
    explicit BitLists(NearestCodes centroids) : centroids_(std::move(centroids)) {}
    const NearestCodes& centroids() const { return centroids_; }
    void find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const override {
        centroids_.find(queries, nprobe, call, lists, scores);
    }

  private:
    NearestCodes centroids_;
};

}  // namespace annkit
