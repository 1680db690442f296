// Which lists a query visits: the nearest centroids, by a product of matrices and a selection. For batches that visit
// few of many lists, bytes say first which centroids are worth the product.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "annkit/index/coarse.h"
#include "annkit/math/byte_filter.h"
#include "annkit/math/product.h"

namespace annkit {

class ListFinder final : public Coarse {
  public:
    // By |q - c|^2, or by -q.c.
    ListFinder(std::span<const float> centroids, size_t dim, bool ip);

    // Of equal scores the lower numbers.
    void find(const Rows& queries, size_t nprobe, const Call& call, uint32_t* lists, float* scores) const override;
    // A centroid as it was given.
    void centroid(size_t list, float* out) const;
    size_t nbytes() const;

  private:
    class Candidates;
    struct Out {
        uint32_t* lists;
        float* scores;
    };
    size_t scored_together() const;
    bool filters(size_t queries, size_t nprobe) const;
    bool find_filtered(const FloatBlock& queries, size_t nprobe, const Out& out) const;
    void find_of_all(const FloatBlock& queries, size_t nprobe, const Out& out) const;
    float final_score(float norm2, float score) const;

    size_t n_, dim_;
    bool ip_;
    PackedMatrix matrix_;       // -2 c, or -c
    std::vector<float> norms_;  // |c|^2, or nothing
    std::optional<ByteFilter> filter_;
};

}  // namespace annkit
