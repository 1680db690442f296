#include "annkit/codec/product_sums.h"

#include <cstring>

#include "annkit/codec/codes.h"

namespace annkit {
namespace {

constexpr size_t kAhead = 8;  // rows whose codes are on their way from memory

// Four sums take turns, so that additions do not wait for each other.
struct Sums {
    float of[4] = {};
    float total() const { return (of[0] + of[1]) + (of[2] + of[3]); }
};

// Two positions take 32 bytes of a block: see Kernels::nibble_codes.
float sum_nibbles(size_t m, const float* table, const uint8_t* at, unsigned shift) {
    Sums sums;
    size_t pair = 0;
    const auto add = [&](size_t p, size_t sum) {
        sums.of[sum] += table[p * 32 + (at[p * 32] >> shift & 15)];
        sums.of[sum + 1] += table[p * 32 + 16 + (at[p * 32 + 16] >> shift & 15)];
    };
    for (; pair + 2 <= (m + 1) / 2; pair += 2) add(pair, 0), add(pair + 1, 2);
    if (pair < (m + 1) / 2) add(pair, 0);
    return sums.total();
}

float sum_bytes(size_t m, const float* table, const uint8_t* code) {
    Sums sums;
    size_t g = 0;
    for (; g + 4 <= m; g += 4, table += 4 * 256)
        for (size_t t = 0; t < 4; ++t) sums.of[t] += table[t * 256 + code[g + t]];
    for (; g < m; ++g, table += 256) sums.of[g % 4] += table[code[g]];
    return sums.total();
}

// Eight numbers are kBits bytes.
template <size_t kBits>
float sum_packed(size_t m, const float* table, const uint8_t* code) {
    Sums sums;
    const auto eight = [&](size_t bytes, size_t count) {
        uint64_t word[2] = {0, 0};
        std::memcpy(word, code, bytes);
        for (size_t t = 0; t < count; ++t, table += size_t(1) << kBits) {
            sums.of[t % 4] += table[word[0] & ((1u << kBits) - 1)];
            word[0] = word[0] >> kBits | word[1] << (64 - kBits);
            word[1] >>= kBits;
        }
        code += bytes;
    };
    for (size_t g = 0; g + 8 <= m; g += 8) eight(kBits, 8);
    if (m % 8 > 0) eight((m % 8 * kBits + 7) / 8, m % 8);
    return sums.total();
}

template <auto kSum>
void each_row(size_t m, const float* table, const Codes& codes, const uint32_t* positions, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i) {
        if (i + kAhead < n) __builtin_prefetch(codes.code(positions[i + kAhead]));
        out[i] = kSum(m, table, reinterpret_cast<const uint8_t*>(codes.code(positions[i])));
    }
}

}  // namespace

void sum_entries(size_t m, size_t bits, const float* table, const Codes& codes, const uint32_t* positions, size_t n,
                 float* out) {
    using EachRow = void (*)(size_t, const float*, const Codes&, const uint32_t*, size_t, float*);
    constexpr EachRow kRows[] = {each_row<sum_packed<5>>,  each_row<sum_packed<6>>, each_row<sum_packed<7>>,
                                 each_row<sum_bytes>,      each_row<sum_packed<9>>, each_row<sum_packed<10>>,
                                 each_row<sum_packed<11>>, each_row<sum_packed<12>>};
    if (bits != 4) return kRows[bits - 5](m, table, codes, positions, n, out);
    for (size_t i = 0; i < n; ++i) {
        const uint32_t row = positions[i];
        const auto* block = reinterpret_cast<const uint8_t*>(codes.block_of(row));
        out[i] = sum_nibbles(m, table, block + row % 16, row % 32 < 16 ? 0 : 4);
    }
}

}  // namespace annkit
