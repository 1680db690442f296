// The rows that k-means trains on: all of them, or a sample; checked, and float32.
#pragma once

#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/part.h"
#include "annkit/core/rows.h"

namespace annkit {

class TrainingRows {
  public:
    // most: 0 for all. A sample takes one row, at random, from each of so many stretches of equal length. Rows are read
    // where they lie if they are all taken and are float32. center: what is taken from rows, or nothing.
    TrainingRows(const Rows& rows, size_t most, std::span<const float> center, const Fit& fit);
    size_t size() const { return norms_.size(); }
    size_t dim() const { return dim_; }
    const float* row(size_t i) const { return data_ + i * stride_; }
    size_t stride() const { return stride_; }  // floats from one row to the next
    float norm2(size_t i) const { return norms_[i]; }

  private:
    void read(const Rows& rows, size_t to, size_t from, size_t n);
    void move(size_t row);

    size_t dim_, stride_;
    std::span<const float> center_;
    const float* data_ = nullptr;
    Buffer copy_;
    std::vector<float> norms_;
};

}  // namespace annkit
