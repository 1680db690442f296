// k-means (Lloyd 1982) on kernels for the nearest row. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "annkit/core/part.h"
#include "annkit/core/rows.h"
#include "annkit/math/nearest.h"

namespace annkit {

struct KMeansOptions {
    size_t k = 0;
    size_t rounds = 10;
    bool plus_plus = false;  // start by k-means++ (see kmeans_start.h); otherwise by a random sample
    bool spherical = false;  // centroids are normalised after each round, and rows assigned by inner product
    double balance = 0;      // > 0: penalises crowded centroids while training, so that cells become more even
    size_t sample = 256;     // rows a centroid that are trained on at most; 0: all
};

struct KMeansResult {
    std::vector<float> centroids;  // k * dim
    // A round assigns each row to its nearest centroid, then moves the centroids to the means of their rows. After each
    // round, the sum over the rows trained on: squared distances, or -inner products. Fewer than rounds of them if
    // assignments stopped changing.
    std::vector<double> objective;
    size_t trained = 0;  // how many rows it was trained on
};

// With fewer rows a centroid the means are not worth much.
inline constexpr size_t kLeastRowsPerCentroid = 39;
// Warns by the call's monitor where there are fewer. what: of the centroids, after their number.
void warn_of_few(size_t rows, size_t k, std::string_view what, const Call& call);

// ValueError where there are fewer rows than centroids, or rows are not finite. Rows that the sample leaves out are not
// read.
KMeansResult kmeans(const Rows& rows, const KMeansOptions& options, const Fit& fit);

}  // namespace annkit
