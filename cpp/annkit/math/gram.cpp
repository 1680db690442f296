#include "annkit/math/gram.h"

#include <algorithm>

#include "annkit/math/product.h"
#include "annkit/math/transpose.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Columns a task takes: a multiple of the rows of every kernel.
constexpr size_t kTask = 36;

}  // namespace

Gram::Gram(size_t dim)
    : dim_(dim),
      lanes_(simd::kernels().product.lanes),
      block_(allocate((dim + lanes_ - 1) / lanes_ * lanes_ * kRows * sizeof(float))) {}

void Gram::add(size_t n, std::span<double> sums, const Call& call) {
    const size_t tasks = (dim_ + kTask - 1) / kTask;
    const int threads = Gram::threads(n, dim_, call);
    while (scratch_.size() < size_t(threads))
        scratch_.push_back({allocate(kTask * padded_stride(kRows) * sizeof(float)),
                            allocate(simd::kernels().product.rows * padded_stride(dim_) * sizeof(float))});
    // The last columns have the longest rows of products: they come first.
    parallel_for(tasks, threads, call, [&](size_t task, int thread) {
        const size_t first = (tasks - 1 - task) * kTask;
        add_columns(first, std::min(kTask, dim_ - first), n, scratch_[size_t(thread)], sums);
    });
}

void Gram::add_columns(size_t first, size_t count, size_t n, Scratch& scratch, std::span<double> sums) {
    auto* columns = reinterpret_cast<float*>(scratch.columns.get());
    auto* products = reinterpret_cast<float*>(scratch.products.get());
    const size_t stride = padded_stride(n), out_stride = padded_stride(dim_);
    for (size_t j = 0; j < count;) {
        const size_t lane = (first + j) % lanes_, here = std::min(lanes_ - lane, count - j);
        transpose(block() + (first + j - lane) * n + lane, lanes_, n, here, columns + j * stride, stride);
        j += here;
    }
    // As many columns as the kernel likes at a time, against those up to them: what lies above is not wanted.
    const size_t some = simd::kernels().product.rows;
    std::fill(columns + count * stride, columns + (count + some - 1) / some * some * stride, 0.0f);
    for (size_t step = 0; step < count; step += some) {
        const size_t outputs = std::min(first + step + some, dim_);
        simd::kernels().product.run({columns + step * stride, stride, some, n, block(), outputs, products, out_stride});
        for (size_t j = first + step; j < outputs; ++j, products += out_stride)
            for (size_t c = 0; c <= j; ++c) sums[j * dim_ + c] += double(products[c]);
        products = reinterpret_cast<float*>(scratch.products.get());
    }
}

}  // namespace annkit
