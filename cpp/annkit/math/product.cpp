#include "annkit/math/product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "annkit/math/transpose.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// Rows at a time: a multiple of every kernel's rows, few enough to stay in the second cache while all columns pass.
constexpr size_t kBlock = 72;

// A kernel's rows in the same sets of a first cache of 4 KB a way.
bool collides(size_t stride) { return stride * sizeof(float) % 4096 == 0; }

// Moves of a few bytes, where a size that is known only at run time is a call.
template <size_t kLanes>
void copy_whole(const float* a, size_t inputs, size_t stride, float* out) {
    for (size_t k = 0; k < inputs; ++k) std::memcpy(out + k * kLanes, a + k * stride, kLanes * sizeof(float));
}

}  // namespace

size_t padded_stride(size_t dim) {
    const size_t stride = (dim + 15) / 16 * 16;
    return collides(stride) ? stride + 16 : stride;
}

PackedMatrix::PackedMatrix(size_t outputs, size_t inputs) : outputs_(outputs), inputs_(inputs) {
    std::shared_ptr<std::byte[]> owner = allocate(std::max<size_t>(nbytes(), 64));
    packed_ = {owner, reinterpret_cast<float*>(owner.get())};
}

size_t PackedMatrix::nbytes() const { return panels() * simd::kernels().product.lanes * inputs_ * sizeof(float); }

size_t PackedMatrix::rows_ahead() const {
    constexpr size_t kAhead = size_t(4) << 10;
    const size_t rows = simd::kernels().product.rows, few = kAhead / (inputs_ * sizeof(float));
    return std::max(few / rows, size_t(1)) * rows;
}

void PackedMatrix::row(size_t output, float* out) const {
    const size_t lanes = simd::kernels().product.lanes;
    const float* at = packed_.get() + output / lanes * lanes * inputs_ + output % lanes;
    for (size_t k = 0; k < inputs_; ++k) out[k] = at[k * lanes];
}

// A panel: as many outputs as the kernel has lanes, for each input one after the other.
size_t PackedMatrix::panels() const {
    const size_t lanes = simd::kernels().product.lanes;
    return (outputs_ + lanes - 1) / lanes;
}

void PackedMatrix::pack(size_t panel, const float* a, size_t stride) { pack(panel, a, stride, {0, inputs_}); }

void PackedMatrix::pack(size_t panel, const float* a, size_t stride, const Inputs& inputs) {
    const size_t lanes = simd::kernels().product.lanes, first = panel * lanes;
    const size_t count = std::min(lanes, outputs_ - first);
    float* out = packed_.get() + first * inputs_ + inputs.first * lanes;
    if (count < lanes) std::fill_n(out, lanes * inputs.count, 0.0f);
    transpose(a + first * stride + inputs.first, stride, count, inputs.count, out, lanes);
}

void PackedMatrix::pack_transposed(size_t panel, const float* a, size_t stride) {
    pack_transposed(panel, a, stride, {0, inputs_});
}

void PackedMatrix::pack_transposed(size_t panel, const float* a, size_t stride, const Inputs& inputs) {
    const size_t lanes = simd::kernels().product.lanes, first = panel * lanes;
    const size_t count = std::min(lanes, outputs_ - first);
    float* out = packed_.get() + first * inputs_ + inputs.first * lanes;
    a += inputs.first * stride + first;
    if (count == 16) return copy_whole<16>(a, inputs.count, stride, out);
    if (count == 8 && lanes == 8) return copy_whole<8>(a, inputs.count, stride, out);
    for (size_t k = 0; k < inputs.count; ++k, out += lanes) {
        std::memcpy(out, a + k * stride, count * sizeof(float));
        std::memset(out + count, 0, (lanes - count) * sizeof(float));
    }
}

PackedMatrix PackedMatrix::of(const float* a, size_t outputs, size_t inputs) {
    PackedMatrix m(outputs, inputs);
    for (size_t panel = 0; panel < m.panels(); ++panel) m.pack(panel, a, inputs);
    return m;
}

PackedMatrix PackedMatrix::of_transposed(const float* a, size_t inputs, size_t outputs) {
    PackedMatrix m(outputs, inputs);
    for (size_t panel = 0; panel < m.panels(); ++panel) m.pack_transposed(panel, a, outputs);
    return m;
}

void PackedMatrix::multiply(const float* rows, size_t stride, size_t n, float* out, size_t out_stride,
                            const float* start, const float* coming) const {
    const simd::Product& product = simd::kernels().product;
    const bool copies = collides(stride) && n >= product.rows;
    // Copied as few at a time as the kernel takes, where the matrix that passes for each stays in a near cache.
    constexpr size_t kCached = size_t(4) << 20;
    const bool few = copies && coming != nullptr && nbytes() <= kCached;
    const size_t padded = padded_stride(inputs_), block = few ? product.rows : kBlock;
    std::unique_ptr<float[]> copy;  // an allocation is dear where rows are few
    if (copies) copy = std::make_unique_for_overwrite<float[]>(std::min(n, block) * padded);
    for (size_t first = 0; first < n; first += block) {
        const size_t count = std::min(block, n - first);
        const float* from = rows + first * stride;
        if (copies) {
            for (size_t i = 0; i < count; ++i)
                std::memcpy(&copy[i * padded], from + i * stride, inputs_ * sizeof(float));
            from = copy.get();
        }
        product.run({from, copies ? padded : stride, count, inputs_, packed_.get(), outputs_, out + first * out_stride,
                     out_stride, start, coming != nullptr ? coming + first * stride : nullptr});
    }
}

void PackedMatrix::multiply(const float* rows, size_t stride, size_t n, const Outputs& outputs, float* out,
                            size_t out_stride) const {
    simd::kernels().product.run(
        {rows, stride, n, inputs_, packed_.get() + outputs.first * inputs_, outputs.count, out, out_stride});
}

size_t rows_of_task(size_t rows, int threads) {
    const size_t least = simd::kernels().product.rows, share = rows / (3 * size_t(threads)) / least * least;
    return std::clamp(share, least, kBlock);
}

namespace {

// Of at most kOuterRows rows.
void add_block(const Outer& in, std::span<double> sums, const Call& call) {
    const PackedMatrix y = PackedMatrix::of_transposed(in.y, in.n, in.dy);
    const simd::Product& product = simd::kernels().product;
    const size_t stride = padded_stride(in.n);
    const int threads = threads_for(call, double(in.n) * double(in.dx) * double(in.dy));
    parallel_blocks(in.dx, rows_of_task(in.dx, threads), threads, call, [&](size_t first, size_t count) {
        std::vector<float> columns(count * stride), block(count * in.dy);
        transpose(in.x + first, in.dx, in.n, count, columns.data(), stride);
        product.run({columns.data(), stride, count, in.n, y.data(), in.dy, block.data(), in.dy});
        for (size_t i = 0; i < count * in.dy; ++i) sums[first * in.dy + i] += double(block[i]);
    });
}

void add_blocks(const Outer& in, const MakeRows& make, size_t first, size_t last, std::span<double> sums,
                const Call& call) {
    const Buffer made = allocate(in.x == nullptr ? std::min(kOuterRows, last - first) * in.dx * sizeof(float) : 0);
    for (; first < last; first += kOuterRows) {
        const size_t count = std::min(kOuterRows, last - first);
        auto* x = reinterpret_cast<float*>(made.get());
        if (in.x == nullptr) make(first, count, x, call);
        add_block({in.x == nullptr ? x : in.x + first * in.dx, in.dx, in.y + first * in.dy, in.dy, count}, sums, call);
    }
}

}  // namespace

void multiply(const float* a, size_t rows, size_t inner, const PackedMatrix& b, float* out, const Call& call) {
    check(inner == b.inputs(), "rows have dimension ", inner, ", the matrix expects ", b.inputs());
    const int threads = threads_for(call, double(rows) * double(inner) * double(b.outputs()));
    parallel_blocks(rows, rows_of_task(rows, threads), threads, call, [&](size_t first, size_t count) {
        b.multiply(a + first * inner, inner, count, out + first * b.outputs(), b.outputs(), nullptr,
                   a + (first + b.rows_ahead()) * inner);
    });
}

void add_outer(const Outer& in, std::span<double> sums, const Call& call) {
    add_outer(in, [](size_t, size_t, float*, const Call&) {}, sums, call);
}

// Each thread takes a stretch of the rows, with sums of its own that are added in the order of the stretches: as many
// whatever the threads, few where the sums are large, and one, by all threads, where they are very large.
void add_outer(const Outer& in, const MakeRows& make, std::span<double> sums, const Call& call) {
    constexpr size_t kSmall = 256 * 256, kLarge = 1024 * 1024, kOfSmall = 32, kOfLarge = 8;
    const size_t blocks = (in.n + kOuterRows - 1) / kOuterRows, size = sums.size();
    const size_t stretches = std::min(blocks, size <= kSmall ? kOfSmall : size <= kLarge ? kOfLarge : 1);
    if (stretches <= 1) return add_blocks(in, make, 0, in.n, sums, call);
    std::vector<std::vector<double>> parts(stretches);
    const int threads = threads_for(call, double(in.n) * double(size));
    parallel_calls(stretches, 1, threads, call, [&](size_t s, size_t, const Call& part) {
        parts[s].resize(size);
        const size_t first = s * blocks / stretches * kOuterRows, last = (s + 1) * blocks / stretches * kOuterRows;
        add_blocks(in, make, first, std::min(last, in.n), parts[s], part);
    });
    constexpr size_t kBlockOfSums = 8192;
    parallel_blocks(size, kBlockOfSums, threads, call, [&](size_t first, size_t count) {
        for (const std::vector<double>& part : parts)
            for (size_t i = first; i < first + count; ++i) sums[i] += part[i];
    });
}

}  // namespace annkit
