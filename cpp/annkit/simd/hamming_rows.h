// Hamming distances of one query, row by row, written once: Bits::distance is what an instruction set brings.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

// Bits 64 * word and on of a code; what lies beyond its end reads as 0.
inline uint64_t load_bits(const void* code, size_t bytes, size_t word) {
    const uint8_t* from = static_cast<const uint8_t*>(code);
    uint64_t bits = 0;
    if (bytes >= 8 * word + 8) {
        __builtin_memcpy(&bits, from + 8 * word, 8);
    } else if (bytes >= 8) {
        __builtin_memcpy(&bits, from + bytes - 8, 8);
        bits >>= 8 * (8 - bytes % 8);
    } else if (bytes >= 4) {  // two halves that overlap
        uint32_t low, high;
        __builtin_memcpy(&low, from, 4);
        __builtin_memcpy(&high, from + bytes - 4, 4);
        bits = low | uint64_t(high) << (8 * bytes - 32);
    } else {
        for (size_t i = 0; i < bytes; ++i) bits |= uint64_t(from[i]) << (8 * i);
    }
    return bits;
}

template <void (*kScan)(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out)>
void scan_codes(const void* query, const void* codes, size_t bytes, size_t n, float* out) {
    kScan(static_cast<const uint8_t*>(query), static_cast<const uint8_t*>(codes), bytes, n, out);
}

template <class Bits>
class HammingRows {
  public:
    static void score(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
        with_width(query, dim, [=](const uint8_t* q, auto width) {
            for (size_t i = 0; i < n; ++i) {
                if (i + kAhead < n) prefetch(static_cast<const uint8_t*>(rows[i + kAhead]), width(dim));
                out[i] = float(Bits::distance(q, static_cast<const uint8_t*>(rows[i]), width(dim)));
            }
        });
    }

    static void scan(const uint8_t* query, const uint8_t* codes, size_t bytes, size_t n, float* out) {
        with_width(query, bytes, [=](const uint8_t* q, auto width) {
            for (size_t i = 0; i < n; ++i) out[i] = float(Bits::distance(q, codes + i * width(bytes), width(bytes)));
        });
    }

  private:
    static constexpr size_t kAhead = 16;  // rows: as many misses as a core keeps open

    static void prefetch(const uint8_t* row, size_t bytes) {
        for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(row + at);
        __builtin_prefetch(row + bytes - 1);
    }

    template <size_t kBytes>
    struct Width {
        size_t operator()(size_t bytes) const { return kBytes == 0 ? bytes : kBytes; }
    };

    template <class Loop>
    static void with_width(const void* query, size_t bytes, const Loop& loop) {
        switch (bytes) {
            case 8:
                return fixed<8>(query, loop);
            case 16:
                return fixed<16>(query, loop);
            case 32:
                return fixed<32>(query, loop);
            case 64:
                return fixed<64>(query, loop);
            case 128:
                return fixed<128>(query, loop);
            default:
                return loop(static_cast<const uint8_t*>(query), Width<0>());
        }
    }
    template <size_t kBytes, class Loop>
    static void fixed(const void* query, const Loop& loop) {
        alignas(64) uint8_t q[kBytes];  // a copy that out cannot alias stays in registers
        __builtin_memcpy(q, query, kBytes);
        loop(q, Width<kBytes>());
    }
};

// Bits by 64-bit words, for a function that counts the bits of one.
template <uint64_t (*kCount)(uint64_t)>
struct WordBits {
    [[gnu::always_inline]] static inline uint64_t distance(const uint8_t* a, const uint8_t* b, size_t bytes) {
        uint64_t sum = 0;
        size_t w = 0;
        for (; 8 * w + 8 <= bytes; ++w) sum += kCount(load_bits(a, 8 * w + 8, w) ^ load_bits(b, 8 * w + 8, w));
        if (8 * w < bytes) sum += kCount(load_bits(a, bytes, w) ^ load_bits(b, bytes, w));
        return sum;
    }
};

}  // namespace
}  // namespace annkit::simd
