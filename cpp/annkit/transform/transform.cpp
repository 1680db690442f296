#include "annkit/transform/transform.h"

#include <algorithm>

#include "annkit/core/errors.h"

namespace annkit {
namespace {

constexpr size_t kBlock = 288;  // rows a task

// A pass over the row besides a product with a matrix.
double work_of(const Transform& transform, size_t n, size_t dim) {
    return double(n) * double(dim) * double(transform.dim_out(dim));
}

}  // namespace

std::string Transform::factory(std::string_view) const { fail("no factory string has a word for ", repr()); }

void apply(const Transform& transform, const Rows& in, float* out, const Call& call) {
    if (!transform.is_fitted()) fail<NotFittedError>(transform.repr(), " is not fitted: call fit first");
    const size_t dim = transform.dim_in();
    if (dim != 0 && in.dim != dim) fail("the array has dimension ", in.dim, ", ", transform.repr(), " expects ", dim);
    const size_t dim_out = transform.dim_out(in.dim);
    parallel_for((in.n + kBlock - 1) / kBlock, threads_for(call, work_of(transform, in.n, in.dim)), call,
                 [&](size_t task, int) {
                     const size_t first = task * kBlock, count = std::min(kBlock, in.n - first);
                     transform.apply(in.slice(first, count), out + first * dim_out);
                 });
}

void invert(const Transform& transform, const Rows& in, float* out, const Call& call) {
    if (!transform.is_fitted()) fail<NotFittedError>(transform.repr(), " is not fitted: call fit first");
    if (!transform.is_invertible()) fail(transform.repr(), " cannot be inverted");
    const size_t dim = transform.dim_in(), dim_out = transform.dim_out(dim);
    if (in.dim != dim_out) fail("the array has dimension ", in.dim, ", ", transform.repr(), " returned ", dim_out);
    const int threads = threads_for(call, work_of(transform, in.n, dim));
    // A task makes the way back ready for itself, so tasks are large.
    const size_t block = std::max<size_t>(4096, kBlock);
    parallel_for((in.n + block - 1) / block, threads, call, [&](size_t task, int) {
        const size_t first = task * block, count = std::min(block, in.n - first);
        const FloatBlock rows(in.slice(first, count), "the array");
        std::vector<float> side_by_side(count * dim_out);
        for (size_t i = 0; i < count; ++i) std::copy_n(rows.row(i), dim_out, &side_by_side[i * dim_out]);
        transform.invert(side_by_side.data(), count, out + first * dim);
    });
}

void check_fit(const Transform& transform, const Rows& rows, size_t needed) {
    if (rows.dtype == Dtype::bits) fail<TypeError>("packed bits have no float value");
    if (rows.dim > kMaxTransformDim)
        fail(transform.repr(), " got rows of dimension ", rows.dim, ", expected at most ", kMaxTransformDim);
    if (rows.n < needed) fail(transform.repr(), " got ", rows.n, " rows to fit, expected at least ", needed);
}

}  // namespace annkit
