// The codebooks of product quantization (Jegou, Douze, Schmid: Product quantization for nearest neighbor search, 2011):
// the dimensions in m groups, a codebook of 2^bits centroids for each. Here, below the codec, because OPQ trains one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/part.h"

namespace annkit {

class ProductQuantizer {
  public:
    ProductQuantizer(size_t m, size_t bits) : m_(m), bits_(bits) {}
    ProductQuantizer(size_t m, size_t bits, size_t dim, std::vector<float> codebooks);  // as stored; checks the size

    // x: n rows of dim floats. dim must be a multiple of m (ValueError names both). start: codebooks to start from, as
    // OPQ's rounds do; empty: a random sample.
    void train(const float* x, size_t n, size_t dim, size_t rounds, std::span<const float> start, const Fit& fit);
    bool is_trained() const { return !codebooks_.empty(); }

    size_t m() const { return m_; }
    size_t bits() const { return bits_; }
    size_t dim() const { return dim_; }
    size_t entries() const { return size_t(1) << bits_; }
    size_t group() const { return dim_ / m_; }  // dimensions of each codebook
    // m * entries * group: codebook(g)[c] is centroid c of group g.
    std::span<const float> codebooks() const { return codebooks_; }
    const float* centroid(size_t g, size_t c) const { return &codebooks_[(g * entries() + c) * group()]; }

    // One number a group. Equal rows get equal codes whatever else is encoded.
    void encode(const float* x, size_t n, uint16_t* codes) const;
    void decode(const uint16_t* codes, size_t n, float* out) const;
    // out[g * entries + c] = inner product of the query's group g with centroid c.
    void inner_products(const float* query, float* out) const;

  private:
    size_t m_, bits_, dim_ = 0;
    std::vector<float> codebooks_;
};

}  // namespace annkit
