#include "annkit/codec/product_sums.h"

#include <algorithm>
#include <cstring>

#include "annkit/codec/codes.h"
#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_entries.h"

namespace annkit {
namespace {

constexpr size_t kAhead = 8;  // rows whose codes are on their way from memory

// Four sums take turns, so that additions do not wait for each other. What is left of the groups is added behind.
struct Sums {
    float a = 0, b = 0, c = 0, d = 0;
    void add(float w, float x, float y, float z) { a += w, b += x, c += y, d += z; }
    float total() const { return (a + b) + (c + d); }
};

// Eight numbers are kBits bytes.
template <size_t kBits>
float sum_packed(size_t m, const float* table, const uint8_t* code) {
    constexpr size_t kTable = size_t(1) << kBits;
    constexpr size_t kHigh = kBits > 8 ? kBits - 8 : 0;  // bytes in the second word
    const auto entry = [&](uint64_t low, uint64_t high, size_t t) {
        const size_t bit = t * kBits;
        uint64_t number = bit < 64 ? low >> bit : high >> (bit - 64);
        if (bit < 64 && bit + kBits > 64) number |= high << (64 - bit);
        return table[t * kTable + (number & (kTable - 1))];
    };
    Sums sums;
    size_t g = 0;
    for (; g + 8 <= m; g += 8, code += kBits, table += 8 * kTable) {
        uint64_t low = 0, high = 0;
        std::memcpy(&low, code, kBits - kHigh);
        if constexpr (kHigh > 0) std::memcpy(&high, code + 8, kHigh);
        sums.add(entry(low, high, 0), entry(low, high, 1), entry(low, high, 2), entry(low, high, 3));
        sums.add(entry(low, high, 4), entry(low, high, 5), entry(low, high, 6), entry(low, high, 7));
    }
    float total = sums.total();
    if (g == m) return total;
    uint64_t words[2] = {0, 0};
    std::memcpy(words, code, ((m - g) * kBits + 7) / 8);
    for (size_t t = 0; g + t < m; ++t) total += entry(words[0], words[1], t);
    return total;
}

// Rows that follow each other are read as they come; others are fetched ahead.
template <auto kSum>
void each_row(size_t m, const float* table, const Codes& codes, const uint32_t* positions, size_t n, float* out) {
    const size_t stride = codes.code_bytes();
    for (size_t i = 0; i < n;) {
        const size_t first = positions[i], most = codes.run(first) < n - i ? codes.run(first) : n - i;
        const auto* code = reinterpret_cast<const uint8_t*>(codes.code(first));
        if (i + kAhead < n) __builtin_prefetch(codes.code(positions[i + kAhead]));
        size_t run = 0;
        do {
            out[i + run] = kSum(m, table, code);
            code += stride;
        } while (++run < most && positions[i + run] == first + run);
        i += run;
    }
}

// A few rows, which are as fast one look-up at a time.
void sum_few_in_blocks(size_t m, const float* table, const Column& blocks, const uint32_t* positions, size_t n,
                       float* out) {
    for (size_t i = 0; i < n; ++i) {
        const auto* block = blocks.at<uint8_t>(positions[i] / simd::kBlockRows);
        out[i] = simd::nibble_entries::sum_of(table, m, block, positions[i] % simd::kBlockRows);
    }
}

void sum_in_blocks(size_t m, const float* table, const Column& blocks, const uint32_t* positions, size_t n,
                   float* out) {
    constexpr size_t kTogether = 64;
    const void* at[kTogether];
    uint8_t rows[kTogether];
    for (size_t first = 0; first < n; first += kTogether) {
        const size_t some = std::min(kTogether, n - first);
        // Where all of them lie in one run, its start tells where they are.
        const size_t start = positions[first] / simd::kBlockRows, run = blocks.run(start);
        const std::byte* begin = blocks.row(start);
        for (size_t i = 0; i < some; ++i) {
            const size_t block = positions[first + i] / simd::kBlockRows;
            rows[i] = positions[first + i] % simd::kBlockRows;
            at[i] = block - start < run ? begin + (block - start) * blocks.row_bytes() : blocks.row(block);
        }
        simd::kernels().sum_nibbles(table, m, at, rows, some, out + first);
    }
}

}  // namespace

void sum_entries(size_t m, size_t bits, const float* table, const Codes& codes, const uint32_t* positions, size_t n,
                 float* out) {
    constexpr size_t kFew = 2;
    if (codes.block == simd::kBlockRows)
        return (n <= kFew ? sum_few_in_blocks : sum_in_blocks)(m, table, codes.columns[0], positions, n, out);
    using EachRow = void (*)(size_t, const float*, const Codes&, const uint32_t*, size_t, float*);
    static constexpr EachRow kRows[] = {each_row<sum_packed<4>>,  each_row<sum_packed<5>>,  each_row<sum_packed<6>>,
                                        each_row<sum_packed<7>>,  each_row<sum_packed<8>>,  each_row<sum_packed<9>>,
                                        each_row<sum_packed<10>>, each_row<sum_packed<11>>, each_row<sum_packed<12>>};
    kRows[bits - 4](m, table, codes, positions, n, out);
}

}  // namespace annkit
