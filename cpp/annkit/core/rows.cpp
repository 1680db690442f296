#include "annkit/core/rows.h"

#include <cfloat>
#include <cmath>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/simd/kernels.h"

namespace annkit {

std::string_view name(Dtype dtype) {
    constexpr std::string_view kNames[] = {"float32", "float64", "float16", "bfloat16", "uint8", "int8", "bits"};
    return kNames[size_t(dtype)];
}

bool Rows::packed() const { return element_stride == ptrdiff_t(element_size(dtype)) || elements() <= 1; }

Rows Rows::slice(size_t first, size_t count) const {
    Rows part = *this;
    part.data = row(first);
    part.n = count;
    part.first = this->first + first;
    return part;
}

Rows Rows::of(const float* data, size_t n, size_t dim, size_t first) {
    return {reinterpret_cast<const std::byte*>(data), n, dim, Dtype::f32, ptrdiff_t(dim * 4), 4, first};
}

bool FloatView::in_place(const Rows& rows) {
    return rows.dtype == Dtype::f32 && rows.packed() && rows.row_stride >= 0 && rows.row_stride % 4 == 0 &&
           reinterpret_cast<uintptr_t>(rows.data) % 4 == 0;
}

FloatView::FloatView(const Rows& rows) {
    if (in_place(rows)) {
        data_ = reinterpret_cast<const float*>(rows.data);
        stride_ = size_t(rows.row_stride) / 4;
    } else {
        convert(rows);
    }
}

namespace {

template <class T>
T read(const std::byte* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
}

void widen_row(const Rows& rows, size_t i, float* out, std::vector<uint16_t>& scratch) {
    const std::byte* p = rows.row(i);
    const ptrdiff_t step = rows.element_stride;
    switch (rows.dtype) {
        case Dtype::f32:
            for (size_t j = 0; j < rows.dim; ++j) out[j] = read<float>(p + ptrdiff_t(j) * step);
            return;
        case Dtype::f64:
            for (size_t j = 0; j < rows.dim; ++j) out[j] = float(read<double>(p + ptrdiff_t(j) * step));
            return;
        case Dtype::f16:
        case Dtype::bf16:
            for (size_t j = 0; j < rows.dim; ++j) scratch[j] = read<uint16_t>(p + ptrdiff_t(j) * step);
            simd::kernels().widen[rows.dtype == Dtype::bf16](scratch.data(), rows.dim, out);
            return;
        case Dtype::u8:
            for (size_t j = 0; j < rows.dim; ++j) out[j] = read<uint8_t>(p + ptrdiff_t(j) * step);
            return;
        case Dtype::i8:
            for (size_t j = 0; j < rows.dim; ++j) out[j] = read<int8_t>(p + ptrdiff_t(j) * step);
            return;
        case Dtype::bits:
            break;
    }
    fail<TypeError>("packed bits have no float value");
}

}  // namespace

void FloatView::convert(const Rows& rows) {
    copy_.resize(rows.n * rows.dim);
    std::vector<uint16_t> scratch(is_float(rows.dtype) ? rows.dim : 0);
    for (size_t i = 0; i < rows.n; ++i) widen_row(rows, i, copy_.data() + i * rows.dim, scratch);
    data_ = copy_.data();
    stride_ = rows.dim;
}

FloatBlock::FloatBlock(const Rows& rows, std::string_view what) : FloatView(rows), norms_(rows.n) {
    measure(rows, what);
}

// One pass gives the norms and shows every value that is not finite. The limit on the norm keeps every score finite:
// |q - x|^2 <= 2 |q|^2 + 2 |x|^2.
void FloatBlock::measure(const Rows& rows, std::string_view what) {
    simd::kernels().squares(row(0), stride(), rows.dim, rows.n, norms_.data());
    for (size_t i = 0; i < rows.n; ++i) {
        if (norms_[i] <= FLT_MAX / 4) [[likely]]
            continue;
        for (size_t j = 0; j < rows.dim; ++j)
            check(std::isfinite(row(i)[j]), what, " has a NaN or infinite value in row ", rows.first + i, ", column ",
                  j, ", expected finite float32 values");
        fail(what, " row ", rows.first + i, " has a squared norm of ", double(norms_[i]),
             ", expected at most a quarter of the largest float32");
    }
}

// Where all rows together are within half of a row's limit, each is, whatever the order of additions.
void check_squares(float sum, const Rows& rows, std::string_view what) {
    if (!(sum <= FLT_MAX / 8)) FloatBlock(rows, what);
}

void copy_bytes(const Rows& rows, size_t row, uint8_t* out) {
    const std::byte* from = rows.row(row);
    if (rows.packed()) {
        std::memcpy(out, from, rows.elements());
        return;
    }
    for (size_t j = 0; j < rows.elements(); ++j) out[j] = uint8_t(from[ptrdiff_t(j) * rows.element_stride]);
}

}  // namespace annkit
