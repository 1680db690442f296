#include "annkit/math/training_rows.h"

#include <algorithm>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/math/sample.h"
#include "annkit/simd/kernels.h"

namespace annkit {

TrainingRows::TrainingRows(const Rows& rows, size_t most, std::span<const float> center, const Fit& fit)
    : dim_(rows.dim), stride_(rows.dim), center_(center) {
    constexpr size_t kBlock = 256;
    const bool sampled = most > 0 && most < rows.n;
    const size_t n = sampled ? most : rows.n;
    check(n < UINT32_MAX, "got ", n, " rows to train on, expected fewer than 2^32 - 1");
    norms_.resize(n);
    if (!sampled && center.empty() && FloatBlock::in_place(rows)) {
        data_ = reinterpret_cast<const float*>(rows.data);
        stride_ = size_t(rows.row_stride) / sizeof(float);
    } else {
        copy_ = allocate(n * dim_ * sizeof(float));
        data_ = reinterpret_cast<const float*>(copy_.get());
    }
    const std::vector<size_t> chosen = sampled ? stratified(rows.n, n, fit.seed) : std::vector<size_t>();
    const int threads = threads_for(fit.call, 2 * double(n) * double(dim_));
    parallel_apart((n + kBlock - 1) / kBlock, threads, fit.call, [&](size_t task, int) {
        const size_t first = task * kBlock, last = std::min(first + kBlock, n);
        if (!sampled) return read(rows, first, first, last - first);
        for (size_t i = first; i < last; ++i) read(rows, i, chosen[i], 1);
    });
}

void TrainingRows::read(const Rows& rows, size_t to, size_t from, size_t n) {
    const FloatBlock block(rows.slice(from, n), "the array");
    for (size_t i = 0; i < n; ++i) {
        norms_[to + i] = block.norm2(i);
        if (copy_) std::memcpy(copy_.get() + (to + i) * dim_ * sizeof(float), block.row(i), dim_ * sizeof(float));
        if (!center_.empty()) move(to + i);
    }
}

void TrainingRows::move(size_t row) {
    auto* x = reinterpret_cast<float*>(copy_.get()) + row * dim_;
    for (size_t j = 0; j < dim_; ++j) x[j] -= center_[j];
    const void* self = x;
    simd::kernels().ip[simd::kF32](self, &self, dim_, 1, &norms_[row]);
    norms_[row] = 0.0f - norms_[row];
}

}  // namespace annkit
