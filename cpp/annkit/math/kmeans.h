// k-means (Lloyd 1982) on the tile kernels. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "annkit/core/part.h"
#include "annkit/core/rows.h"

namespace annkit {

struct KMeansOptions {
    size_t k = 0;
    size_t rounds = 10;
    bool plus_plus = false;   // start by k-means++ (Arthur and Vassilvitskii 2007); otherwise by a random sample
    bool spherical = false;   // centroids are normalised after each round, and rows assigned by inner product
    double balance = 0;       // > 0: penalises crowded centroids while training, so that cells become more even
    size_t sample = 256;      // rows a centroid that are trained on at most; 0: all
};

struct KMeansResult {
    std::vector<float> centroids;   // k * dim
    std::vector<double> objective;  // after each round, the sum over the rows trained on: squared distances, or -inner products
};

// ValueError where there are fewer rows than centroids, or rows are not finite. Rows that the sample leaves out are not
// read.
KMeansResult kmeans(const Rows& rows, const KMeansOptions& options, const Fit& fit);

// Centroids made ready to find the nearest one of many rows: by l2, or by the largest inner product.
class Nearest {
  public:
    Nearest(std::span<const float> centroids, size_t dim, bool ip = false);
    size_t size() const;
    size_t dim() const;
    // The nearest centroid of each row (the lowest number among equals) and, unless null, its score: |x - c|^2 or -x.c.
    // The same whatever the number of rows and threads.
    void find(const Rows& rows, uint32_t* nearest, float* scores, const Call& call) const;

  private:
    std::vector<float> centroids_, norms_;
    size_t dim_;
    bool ip_;
};

}  // namespace annkit
