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
    // The block of n <= kRows rows to add: panels of lanes() columns, in each the rows one after the other. The last
    // panel's lanes beyond dim are zeros.
    size_t lanes() const { return lanes_; }
    float* block() { return reinterpret_cast<float*>(block_.get()); }
    void add(size_t n, const Call& call);
    const std::vector<double>& sums() const { return sums_; }
    std::vector<double>& sums() { return sums_; }  // dim x dim, only the half with column <= row

  private:
    struct Scratch {
        Buffer columns, products;
    };
    void add_columns(size_t first, size_t count, size_t n, Scratch& scratch);

    size_t dim_, lanes_;
    std::vector<double> sums_;
    Buffer block_;
    std::vector<Scratch> scratch_;  // one a thread
};

}  // namespace annkit
