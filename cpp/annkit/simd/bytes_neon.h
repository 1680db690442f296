// Bytes (u8, i8) with NEON: rows and the bounds of 8-bit codes; tiles come from the level below.
// Bottleneck: smlal, eight products each. Not measured: no such machine was at hand.
#pragma once

#include <arm_neon.h>

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace bytes {

// So many squares of differences of bytes fit int32: 255 * 255 * 32,768 < 2^31.
inline constexpr size_t kBlock = 32768;

int16x8_t widen(uint8x8_t x) { return vreinterpretq_s16_u16(vmovl_u8(x)); }
int16x8_t widen(int8x8_t x) { return vmovl_s8(x); }
int16x8_t load(const uint8_t* x) { return widen(vld1_u8(x)); }
int16x8_t load(const int8_t* x) { return widen(vld1_s8(x)); }

int32x4_t products(int32x4_t sum, int16x8_t a, int16x8_t b) {
    return vmlal_high_s16(vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b)), a, b);
}

template <class T, bool kL2>
int32x4_t step(int32x4_t sum, int16x8_t q, int16x8_t x) {
    if constexpr (!kL2) return products(sum, q, x);
    const int16x8_t difference = vsubq_s16(q, x);
    return products(sum, difference, difference);
}

// At most kBlock elements of one row.
template <class T, bool kL2>
int32_t block(const T* q, const T* x, size_t n) {
    int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t v = 0; v < 2; ++v) sums[v] = step<T, kL2>(sums[v], load(q + i + 8 * v), load(x + i + 8 * v));
    int32_t sum = vaddvq_s32(vaddq_s32(sums[0], sums[1]));
    for (; i < n; ++i) sum += kL2 ? (q[i] - x[i]) * (q[i] - x[i]) : q[i] * x[i];
    return sum;
}

template <class T, bool kL2>
float score(const T* q, const T* x, size_t dim) {
    int64_t sum = 0;
    for (size_t from = 0; from < dim; from += kBlock)
        sum += block<T, kL2>(q + from, x + from, dim - from < kBlock ? dim - from : kBlock);
    return float(kL2 ? sum : -sum);
}

template <class T, bool kL2>
void score_rows(const void* query, const void* const* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i)
        out[i] = score<T, kL2>(static_cast<const T*>(query), static_cast<const T*>(rows[i]), dim);
}

template <class T, bool kL2>
void scan_rows(const void* query, const void* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i)
        out[i] = score<T, kL2>(static_cast<const T*>(query), static_cast<const T*>(rows) + i * dim, dim);
}

void sq8_lower(const Sq8Query& q, const uint8_t* codes, const Sq8Row* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i, codes += dim) {
        int32x4_t sums[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
        size_t j = 0;
        for (; j + 16 <= dim; j += 16)
            for (size_t v = 0; v < 2; ++v)
                sums[v] = products(sums[v], vld1q_s16(q.codes + j + 8 * v), load(codes + j + 8 * v));
        int32_t dot = vaddvq_s32(vaddq_s32(sums[0], sums[1]));
        for (; j < dim; ++j) dot += int32_t(codes[j]) * int32_t(q.codes[j]);
        const Sq8Row& row = rows[i];
        const float estimate = row.scale * q.scale * float(dot) + row.offset * q.sum;
        out[i] = q.mul * (estimate + row.error * q.norm + q.slack) + q.add + q.norm_weight * row.norm2;
    }
}

}  // namespace bytes

void fill_bytes(Kernels& k) {
    k.scan_l2[kU8] = bytes::scan_rows<uint8_t, true>;
    k.scan_l2[kI8] = bytes::scan_rows<int8_t, true>;
    k.scan_ip[kU8] = bytes::scan_rows<uint8_t, false>;
    k.scan_ip[kI8] = bytes::scan_rows<int8_t, false>;
    k.l2[kU8] = bytes::score_rows<uint8_t, true>;
    k.l2[kI8] = bytes::score_rows<int8_t, true>;
    k.ip[kU8] = bytes::score_rows<uint8_t, false>;
    k.ip[kI8] = bytes::score_rows<int8_t, false>;
    k.sq8_lower = bytes::sq8_lower;
}

}  // namespace
}  // namespace annkit::simd
