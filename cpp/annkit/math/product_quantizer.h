// The codebooks of product quantization (Jegou, Douze, Schmid: Product quantization for nearest neighbor search, 2011):
// the dimensions in m groups, a codebook of 2^bits centroids for each. Here, below the codec, because OPQ trains one.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/function_ref.h"
#include "annkit/core/part.h"

namespace annkit {

class ProductQuantizer {
  public:
    static constexpr size_t kLeastBits = 4, kMostBits = 12;
    // Trained on at most: so many rows a centroid (Faiss's number, too), but more of few centroids. With 4 bits and
    // 4096 rows recall@10 is 0.002 to 0.004 lower on SIFT, word vectors and mixtures, and varies more from seed to
    // seed; but in wide groups of mixtures (24 to 48 dimensions) as much higher: centroids that fit what rows of a
    // cluster have in common tell them apart less. The best of several starts by k-means++ errs less (SIFT: by 2 %),
    // yet finds neighbours no better.
    static constexpr size_t kSample = 256, kLeastSample = 16384, kWideGroup = 16;
    static constexpr size_t kRounds = 32;  // the first of them on a part of the rows

    ProductQuantizer(size_t m, size_t bits);  // ValueError where bits are not 4 to 12
    // As stored; checks the size.
    ProductQuantizer(size_t m, size_t bits, size_t dim, std::span<const float> codebooks);

    // x: n rows of dim floats. dim must be a multiple of m (ValueError names both). start: codebooks to start from, as
    // OPQ's rounds do; empty: a random sample.
    void train(const float* x, size_t n, size_t dim, size_t rounds, std::span<const float> start, const Fit& fit);
    bool is_trained() const { return !columns_.empty(); }
    // Throws ValueError where rows of so many, of this dimension, cannot be trained on.
    void check_trainable(size_t n, size_t dim) const;
    // The rows of n to train on, ascending: all of them, or a random sample.
    std::vector<uint32_t> sample(size_t n, size_t dim, uint64_t seed) const;

    size_t m() const { return m_; }
    size_t bits() const { return bits_; }
    size_t dim() const { return dim_; }
    size_t entries() const { return size_t(1) << bits_; }
    size_t group() const { return dim_ / m_; }  // dimensions of each codebook
    size_t nbytes() const;
    std::vector<float> codebooks() const;  // m * entries * group: a centroid's values side by side
    // Some centroids lie much farther from the middle of their group than most do in theirs: rows with heavy tails.
    // (Squares, of PQ with groups of 4 and 8 dimensions: 4 to 10 times as far on SIFT, words, images and mixtures; 70
    // times and more where rows have log-normal values or norms.)
    static constexpr float kFar = 12;
    bool has_far_centroids() const { return has_far_; }

    // Of rows that lie stride floats apart; take(group, first, numbers) gets those of some rows at a time, group after
    // group. Equal rows get equal numbers whatever else is encoded.
    using TakeNumbers = FunctionRef<void(size_t group, size_t first, std::span<const uint32_t> numbers)>;
    void encode(const float* x, size_t stride, size_t n, TakeNumbers take) const;
    void encode(const float* x, size_t n, uint16_t* codes) const;  // a number a group, row by row
    void decode(const uint16_t* codes, size_t n, float* out) const;
    // out[g * entries + c] = |q - c|^2 (l2) or times * q.c of the query's group g and centroid c.
    void tables(const float* query, bool l2, float times, float* out) const;

  private:
    void set(std::span<const float> codebooks);
    const float* columns(size_t g) const { return columns_.data() + g * group() * entries(); }
    float usual_norm() const;  // a centroid's square, from the middle of its group: the median of the groups' medians
    std::vector<float> centered(size_t g) const;  // columns(g) less its middle

    size_t m_, bits_, dim_ = 0;
    std::vector<float> columns_;  // the codebooks: dimension by dimension, all entries of a group side by side
    // Of each codebook, and |c - middle|^2. The nearest has the least |c - middle|^2 - 2 (x - middle).c, which cancels
    // less than |c|^2 - 2 x.c and takes centroids as they are; where the middle lies so far away that it loses digits
    // all the same, c - middle is made for each block of rows.
    std::vector<float> middles_, norms_;
    std::vector<uint8_t> has_far_middle_;
    bool has_far_ = false;
};

}  // namespace annkit
