#include "annkit/math/gram.h"

#include <algorithm>

#include "annkit/math/product.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Columns a task takes: a multiple of the rows of every kernel.
constexpr size_t kTask = 72;

}  // namespace

Gram::Gram(size_t dim) : dim_(dim), sums_(dim * dim), packed_(allocate(packed_floats(dim, kRows) * sizeof(float))) {}

void Gram::add(const float* rows, size_t n, const Call& call) {
    const size_t lanes = simd::kernels().product.lanes, tasks = (dim_ + kTask - 1) / kTask;
    const double work = 0.5 * double(n) * double(dim_) * double(dim_);
    const int threads = threads_for(call, work);
    auto* packed = reinterpret_cast<float*>(packed_.get());
    parallel_for((dim_ + lanes - 1) / lanes, threads, call,
                 [&](size_t panel, int) { pack_transposed(rows, n, dim_, panel, packed); });
    while (scratch_.size() < size_t(threads))
        scratch_.push_back({allocate(kTask * padded_stride(kRows) * sizeof(float)),
                            allocate(kTask * padded_stride(dim_) * sizeof(float))});
    // The last columns have the longest rows of products: they come first.
    parallel_for(tasks, threads, call, [&](size_t task, int thread) {
        const size_t first = (tasks - 1 - task) * kTask;
        add_columns(first, std::min(kTask, dim_ - first), rows, n, scratch_[size_t(thread)]);
    });
}

void Gram::add_columns(size_t first, size_t count, const float* rows, size_t n, Scratch& scratch) {
    constexpr size_t kRun = 16;  // a cache line of each column at a time
    auto* columns = reinterpret_cast<float*>(scratch.columns.get());
    auto* products = reinterpret_cast<float*>(scratch.products.get());
    const size_t stride = padded_stride(n), out_stride = padded_stride(dim_);
    size_t start = 0;
    for (; start + kRun <= n; start += kRun)
        for (size_t j = 0; j < count; ++j)
            for (size_t i = 0; i < kRun; ++i) columns[j * stride + start + i] = rows[(start + i) * dim_ + first + j];
    for (size_t j = 0; j < count; ++j)
        for (size_t i = start; i < n; ++i) columns[j * stride + i] = rows[i * dim_ + first + j];
    // As many columns as the kernel likes at a time, against those up to them: what lies above is not wanted.
    const size_t some = simd::kernels().product.rows;
    std::fill(columns + count * stride, columns + (count + some - 1) / some * some * stride, 0.0f);
    for (size_t step = 0; step < count; step += some) {
        const size_t outputs = std::min(first + step + some, dim_);
        simd::kernels().product.run({columns + step * stride, stride, some, n,
                                     reinterpret_cast<const float*>(packed_.get()), outputs, products, out_stride});
        for (size_t j = first + step; j < outputs; ++j, products += out_stride)
            for (size_t c = 0; c <= j; ++c) sums_[j * dim_ + c] += double(products[c]);
        products = reinterpret_cast<float*>(scratch.products.get());
    }
}

}  // namespace annkit
