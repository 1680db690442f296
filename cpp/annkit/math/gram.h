// Sums of x x^T over rows of floats, on the product kernels: what covariances are made of. Here is the memory they
// take.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"

namespace annkit {

class Gram {
  public:
    static constexpr size_t kRows = 1024;  // floats are added for at most so many rows, then doubles
    explicit Gram(size_t dim);
    static int threads(size_t n, size_t dim, const Call& call) {  // worth starting for so many rows
        return threads_for(call, 0.5 * double(n) * double(dim) * double(dim + 16));
    }
    // The block of n <= kRows rows to add: panels of lanes() columns, in each the rows one after the other. The last
    // panel's lanes beyond dim are zeros.
    size_t lanes() const { return lanes_; }
    float* block() { return reinterpret_cast<float*>(block_.get()); }
    // sums: dim x dim, only the half with column <= row.
    void add(size_t n, std::span<double> sums, const Call& call);

  private:
    struct Scratch {
        Buffer columns, products;
    };
    void add_columns(size_t first, size_t count, size_t n, Scratch& scratch, std::span<double> sums);

    size_t dim_, lanes_;
    Buffer block_;
    std::vector<Scratch> scratch_;  // one a thread
};

}  // namespace annkit
