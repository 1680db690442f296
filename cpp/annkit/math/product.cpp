#include "annkit/math/product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Rows at a time: a multiple of every kernel's rows, few enough to stay in the second cache while all columns pass.
constexpr size_t kBlock = 72;

bool collides(size_t stride) { return stride * sizeof(float) % 1024 == 0; }

}  // namespace

size_t padded_stride(size_t dim) {
    const size_t stride = (dim + 15) / 16 * 16;
    return collides(stride) ? stride + 16 : stride;
}

PackedMatrix::PackedMatrix(size_t outputs, size_t inputs) : outputs_(outputs), inputs_(inputs) {
    const size_t lanes = simd::kernels().product.lanes;
    const size_t bytes = (outputs + lanes - 1) / lanes * lanes * inputs * sizeof(float);
    std::shared_ptr<std::byte[]> owner = allocate(std::max<size_t>(bytes, 64));
    packed_ = {owner, reinterpret_cast<float*>(owner.get())};
}

PackedMatrix PackedMatrix::of(const float* a, size_t outputs, size_t inputs) {
    PackedMatrix m(outputs, inputs);
    const size_t lanes = simd::kernels().product.lanes;
    float* out = m.packed_.get();
    constexpr size_t kRun = 16;  // a cache line of each row at a time
    for (size_t first = 0; first < outputs; first += lanes, out += inputs * lanes)
        for (size_t start = 0; start < inputs; start += kRun)
            for (size_t lane = 0; lane < lanes; ++lane) {
                const float* row = first + lane < outputs ? a + (first + lane) * inputs : nullptr;
                for (size_t k = start; k < std::min(start + kRun, inputs); ++k)
                    out[k * lanes + lane] = row == nullptr ? 0.0f : row[k];
            }
    return m;
}

PackedMatrix PackedMatrix::of_transposed(const float* a, size_t inputs, size_t outputs) {
    PackedMatrix m(outputs, inputs);
    const size_t lanes = simd::kernels().product.lanes;
    float* out = m.packed_.get();
    for (size_t first = 0; first < outputs; first += lanes) {
        const size_t count = std::min(lanes, outputs - first);
        for (size_t k = 0; k < inputs; ++k, out += lanes) {
            std::memcpy(out, a + k * outputs + first, count * sizeof(float));
            std::memset(out + count, 0, (lanes - count) * sizeof(float));
        }
    }
    return m;
}

void PackedMatrix::multiply(const float* rows, size_t stride, size_t n, float* out, size_t out_stride) const {
    const simd::Product& product = simd::kernels().product;
    const bool copies = collides(stride) && n >= product.rows;
    const size_t padded = padded_stride(inputs_);
    std::vector<float> copy(copies ? std::min(n, kBlock) * padded : 0);
    for (size_t first = 0; first < n; first += kBlock) {
        const size_t count = std::min(kBlock, n - first);
        const float* from = rows + first * stride;
        if (copies) {
            for (size_t i = 0; i < count; ++i)
                std::memcpy(&copy[i * padded], from + i * stride, inputs_ * sizeof(float));
            from = copy.data();
        }
        product.run({from, copies ? padded : stride, count, inputs_, packed_.get(), outputs_, out + first * out_stride,
                     out_stride});
    }
}

void multiply(const float* a, size_t rows, size_t inner, const PackedMatrix& b, float* out, const Call& call) {
    check(inner == b.inputs(), "rows have dimension ", inner, ", the matrix expects ", b.inputs());
    const double work = double(rows) * double(inner) * double(b.outputs());
    parallel_for((rows + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * kBlock;
        b.multiply(a + first * inner, inner, std::min(kBlock, rows - first), out + first * b.outputs(), b.outputs());
    });
}

void add_outer(const Outer& in, std::span<double> sums, const Call& call) {
    const PackedMatrix y = PackedMatrix::of_transposed(in.y, in.n, in.dy);
    const simd::Product& product = simd::kernels().product;
    const size_t stride = padded_stride(in.n);
    const double work = double(in.n) * double(in.dx) * double(in.dy) * (in.lower ? 0.5 : 1);
    parallel_for((in.dx + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = task * kBlock, count = std::min(kBlock, in.dx - first);
        const size_t outputs = in.lower ? std::min(in.dy, first + count) : in.dy;
        std::vector<float> columns(count * stride), block(count * outputs);
        constexpr size_t kRun = 16;
        for (size_t start = 0; start < in.n; start += kRun)
            for (size_t j = 0; j < count; ++j)
                for (size_t i = start; i < std::min(start + kRun, in.n); ++i)
                    columns[j * stride + i] = in.x[i * in.dx + first + j];
        product.run({columns.data(), stride, count, in.n, y.data(), outputs, block.data(), outputs});
        for (size_t j = 0; j < count; ++j) {
            double* into = &sums[(first + j) * in.dy];
            for (size_t c = 0; c < outputs; ++c) into[c] += double(block[j * outputs + c]);
        }
    });
}

}  // namespace annkit
