// Products of float matrices on the product kernels.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "annkit/core/parallel.h"

namespace annkit {

// A matrix made ready to multiply rows: y = A x for each. Cheap to copy: copies share what is packed.
class PackedMatrix {
  public:
    PackedMatrix() = default;
    // A, row-major: a row for each output.
    static PackedMatrix of(const float* a, size_t outputs, size_t inputs);
    // The transpose of what is handed in: a row for each input.
    static PackedMatrix of_transposed(const float* a, size_t inputs, size_t outputs);
    // Room for a matrix that is packed a panel at a time, by one thread or several: from its rows, or from those of its
    // transpose, which lie stride floats apart.
    PackedMatrix(size_t outputs, size_t inputs);
    size_t panels() const;
    void pack(size_t panel, const float* a, size_t stride);
    void pack_transposed(size_t panel, const float* a, size_t stride);
    // Of some inputs only.
    struct Inputs {
        size_t first, count;
    };
    void pack(size_t panel, const float* a, size_t stride, const Inputs& inputs);
    void pack_transposed(size_t panel, const float* a, size_t stride, const Inputs& inputs);

    bool empty() const { return packed_ == nullptr; }
    size_t inputs() const { return inputs_; }
    size_t outputs() const { return outputs_; }
    const float* data() const { return packed_.get(); }
    size_t nbytes() const;
    void row(size_t output, float* out) const;  // of A
    // Strides count floats. A row's result is the same whatever rows are beside it. Rows and out may not overlap.
    // start: what is added to the outputs, of a multiple of kOutputs floats; null for nothing. coming: rows
    // to fetch meanwhile, as many and as far apart; null for none. Those that are asked for next should be
    // rows_ahead().
    void multiply(const float* rows, size_t stride, size_t n, float* out, size_t out_stride,
                  const float* start = nullptr, const float* coming = nullptr) const;
    static constexpr size_t kOutputs = 16;
    // How many rows ahead they are to be fetched, if they come from memory: it is a way of a few KB.
    size_t rows_ahead() const;
    // The same of some of the outputs, from a multiple of the kernel's lanes on, for a few rows at a padded_stride().
    struct Outputs {
        size_t first, count;
    };
    void multiply(const float* rows, size_t stride, size_t n, const Outputs& outputs, float* out,
                  size_t out_stride) const;

  private:
    std::shared_ptr<float[]> packed_;
    size_t outputs_ = 0, inputs_ = 0;
};

// A stride for rows of dim floats that does not make rows fall into the same few sets of the first cache.
size_t padded_stride(size_t dim);

// out = A B, in parallel; matrices are row-major, A has rows x inner.
void multiply(const float* a, size_t rows, size_t inner, const PackedMatrix& b, float* out, const Call& call);
// Rows of the first factor that a task takes: several tasks a thread, where there are few rows.
size_t rows_of_task(size_t rows, int threads);

// Adds X^T Y to sums (dx x dy): X is n rows of dx, Y n rows of dy. Floats are added for at most kOuterRows rows, then
// doubles.
inline constexpr size_t kOuterRows = 1024;
struct Outer {
    const float* x;
    size_t dx;
    const float* y;
    size_t dy, n;
};
void add_outer(const Outer& in, std::span<double> sums, const Call& call);
// The same where rows of X are made when they are wanted, at most kOuterRows from a multiple of them on; in.x is null.
using MakeRows = FunctionRef<void(size_t first, size_t count, float* out, const Call& part)>;
void add_outer(const Outer& in, const MakeRows& make, std::span<double> sums, const Call& call);

}  // namespace annkit
