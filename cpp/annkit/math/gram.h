// Sums of x x^T over rows of floats, on the product kernels: what covariances are made of.
#pragma once

#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"

namespace annkit {

class Gram {
  public:
    static constexpr size_t kRows = 1024;  // floats are added for at most so many rows, then doubles
    explicit Gram(size_t dim);
    // n <= kRows rows side by side.
    void add(const float* rows, size_t n, const Call& call);
    const std::vector<double>& sums() const { return sums_; }
    std::vector<double>& sums() { return sums_; }  // dim x dim, only the half with column <= row

  private:
    struct Scratch {
        Buffer columns, products;
    };
    void add_columns(size_t first, size_t count, const float* rows, size_t n, Scratch& scratch);

    size_t dim_;
    std::vector<double> sums_;
    Buffer packed_;
    std::vector<Scratch> scratch_;  // one a thread
};

}  // namespace annkit
