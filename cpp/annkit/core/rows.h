// A view of a matrix of rows that carries its element type and strides: what callers hand in, never copied whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace annkit {

enum class Dtype : uint8_t { f32, f64, f16, bf16, u8, i8, bits };

std::string_view name(Dtype dtype);
constexpr bool is_float(Dtype d) { return d == Dtype::f32 || d == Dtype::f64 || d == Dtype::f16 || d == Dtype::bf16; }
constexpr size_t element_size(Dtype d) {
    return d == Dtype::f64 ? 8 : d == Dtype::f32 ? 4 : d == Dtype::f16 || d == Dtype::bf16 ? 2 : 1;
}

struct Rows {
    const std::byte* data = nullptr;
    size_t n = 0, dim = 0;  // of bits: dim counts bits, eight to a byte
    Dtype dtype = Dtype::f32;
    ptrdiff_t row_stride = 0, element_stride = 0;  // bytes
    size_t first = 0;                              // the number of the first row in the caller's array, for messages

    size_t elements() const { return dtype == Dtype::bits ? dim / 8 : dim; }  // stored elements a row
    bool packed() const;                                                      // each row's elements lie side by side
    Rows slice(size_t first, size_t count) const;
    const std::byte* row(size_t i) const { return data + ptrdiff_t(i) * row_stride; }

    static Rows of(const float* data, size_t n, size_t dim, size_t first = 0);
};

// Reads rows as float32, straight from the input where it already is that. Values are not looked at.
class FloatView {
  public:
    explicit FloatView(const Rows& rows);
    static bool in_place(const Rows& rows);  // such rows are read where they lie
    const float* row(size_t i) const { return data_ + i * stride_; }
    size_t stride() const { return stride_; }  // floats from one row to the next

  private:
    void convert(const Rows& rows);

    const float* data_ = nullptr;
    size_t stride_ = 0;
    std::vector<float> copy_;
};

// The same of a block of rows that have been checked, with their norms.
class FloatBlock : public FloatView {
  public:
    // Throws ValueError that names the first row with a NaN, an infinity, or a norm beyond float32.
    FloatBlock(const Rows& rows, std::string_view what);
    float norm2(size_t i) const { return norms_[i]; }
    size_t size() const { return norms_.size(); }

  private:
    void measure(const Rows& rows, std::string_view what);

    std::vector<float> norms_;
};

// The same check by the sum of the squares of all rows' values, which a pass over them gives beside what it is for.
void check_squares(float sum, const Rows& rows, std::string_view what);

// Copies one row of bytes (u8, i8, bits), whatever its stride.
void copy_bytes(const Rows& rows, size_t row, uint8_t* out);

}  // namespace annkit
