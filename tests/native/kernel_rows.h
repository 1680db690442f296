// What the tests of kernels share: whole numbers in every type that rows have, and plain loops over them. Sums of small
// whole numbers are exact in any order, so that a level is right or wrong.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>

#include "annkit/core/random.h"
#include "annkit/simd/kernels.h"
#include "checks.h"

namespace kernel_rows {

using namespace annkit;
using namespace annkit::simd;

constexpr size_t kDims[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 129, 200};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Memory as kernels want what they have packed.
class Packed {
  public:
    explicit Packed(size_t bytes) : lines_(bytes / sizeof(Line) + 1) {}
    std::byte* get() const { return const_cast<std::byte*>(lines_[0].bytes); }

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    std::vector<Line> lines_;
};

// Values that floats of 16 bits and bytes hold, too.
class Matrix {
  public:
    Matrix(Random& random, size_t n, size_t dim, int low, int high) : n(n), dim(dim), values_(n * dim) {
        for (int& x : values_) x = low + int(random.below(uint64_t(high - low + 1)));
    }
    const size_t n, dim;
    int operator()(size_t i, size_t j) const { return values_[i * dim + j]; }
    // In memory that ends with the last row.
    template <class T>
    std::vector<T> as() const {
        return {values_.begin(), values_.end()};
    }

  private:
    std::vector<int> values_;
};

inline int dot(const Matrix& a, size_t i, const Matrix& b, size_t j) {
    int sum = 0;
    for (size_t d = 0; d < a.dim; ++d) sum += a(i, d) * b(j, d);
    return sum;
}

inline int square(const Matrix& a, size_t i, const Matrix& b, size_t j) {
    int sum = 0;
    for (size_t d = 0; d < a.dim; ++d) sum += (a(i, d) - b(j, d)) * (a(i, d) - b(j, d));
    return sum;
}

inline uint16_t bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return uint16_t(bits >> 16);
}

inline uint16_t f16(float x) {
    if (x == 0) return 0;
    int exponent;
    const float fraction = std::frexp(std::fabs(x), &exponent);  // 0.5 to 1
    return uint16_t((x < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | int(std::ldexp(fraction, 11) - 1024));
}

// Rows in an element's type, as bytes.
inline std::vector<std::byte> stored(const Matrix& m, int element) {
    const auto bytes_of = [](const auto& values) {
        const auto bytes = std::as_bytes(std::span(values));
        return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
    if (element == kU8) return bytes_of(m.as<uint8_t>());
    if (element == kI8) return bytes_of(m.as<int8_t>());
    const std::vector<float> floats = m.as<float>();
    if (element == kF32) return bytes_of(floats);
    std::vector<uint16_t> halves;
    if (element == kSplit) {
        for (size_t i = 0; i < m.n; ++i)
            for (unsigned shift : {16u, 0u})
                for (size_t j = 0; j < m.dim; ++j) {
                    uint32_t bits;
                    std::memcpy(&bits, &floats[i * m.dim + j], sizeof bits);
                    const uint32_t upper = (bits + 0x8000) >> 16;
                    halves.push_back(uint16_t(shift == 16 ? upper : bits - (upper << 16)));
                }
        return bytes_of(halves);
    }
    for (float x : floats) halves.push_back(element == kF16 ? f16(x) : bf16(x));
    return bytes_of(halves);
}

inline bool is_bytes(int element) { return element == kU8 || element == kI8; }
inline Matrix matrix(Random& random, size_t n, size_t dim, int element) {
    return element == kU8 ? Matrix(random, n, dim, 0, 255) : Matrix(random, n, dim, element == kI8 ? -128 : -9, 9);
}

inline std::vector<const void*> pointers(const std::vector<std::byte>& rows, size_t n) {
    std::vector<const void*> all(n);
    for (size_t i = 0; i < n; ++i) all[i] = &rows[i * (rows.size() / n)];
    return all;
}

struct Trial {
    const Kernels& k;
    Random random{1};
    std::string level = name(k.level);
    void expect(bool ok, const char* kernel, size_t dim, size_t n) const {
        checks::expect(ok,
                       ok ? "" : level + ": " + kernel + ", dim " + std::to_string(dim) + ", n " + std::to_string(n));
    }
};

inline int different_bits(const Matrix& a, size_t i, const Matrix& b, size_t j) {
    int sum = 0;
    for (size_t d = 0; d < a.dim; ++d) sum += std::popcount(unsigned(a(i, d) ^ b(j, d)));
    return sum;
}

// Runs tests at every level that this machine has.
inline int run(const char* what, std::initializer_list<void (*)(Trial&)> tests) {
    for (const Level level : {Level::scalar, Level::neon, Level::avx2, Level::avx512}) {
        const Kernels* kernels = kernels_at(level);
        if (kernels == nullptr) continue;
        Trial trial{*kernels};
        for (auto* test : tests) test(trial);
        std::printf("%s: %zu checks so far\n", name(level), checks::passed + checks::failed);
    }
    return checks::summary(what);
}

}  // namespace kernel_rows
