// Bytes (u8, i8) in plain C++: rows, tiles and the bounds of 8-bit codes, at the level that every machine has.
// Bottleneck: the multiplier. Everything is written as sums of products of 16-bit numbers, which the compiler turns
// into pmaddwd (x86-64 baseline, Zen 4: tiles of d=128 run at 105 M pairs a second) or smlal.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {
namespace bytes {

// So many squares of differences of bytes fit int32: 255 * 255 * 32,768 < 2^31.
inline constexpr size_t kBlock = 32768;

template <class T, bool kL2>
int32_t block(const T* q, const T* x, size_t n) {
    int32_t sum = 0;
    for (size_t i = 0; i < n; ++i) {
        const auto a = int16_t(kL2 ? q[i] - x[i] : q[i]);
        const auto b = kL2 ? a : int16_t(x[i]);
        sum += int32_t(a) * int32_t(b);
    }
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

// Tiles: queries and rows are both widened to 16 bits, one after the other, zeros up to a multiple of 8.
size_t padded(size_t dim) { return (dim + 7) / 8 * 8; }
size_t stride(size_t dim) { return padded(dim) * sizeof(int16_t); }
size_t rows_bytes(size_t dim, size_t n) { return n * stride(dim); }

template <class T>
void pack_rows(const void* const* rows, size_t n, size_t dim, void* out) {
    auto* to = static_cast<int16_t*>(out);
    for (size_t i = 0; i < n; ++i, to += padded(dim)) {
        const auto* x = static_cast<const T*>(rows[i]);
        for (size_t j = 0; j < dim; ++j) to[j] = x[j];
        for (size_t j = dim; j < padded(dim); ++j) to[j] = 0;
    }
}

template <size_t kLanes>
size_t panel_bytes(size_t dim) {
    return kLanes * stride(dim);
}

template <class T, size_t kLanes>
void pack_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    pack_rows<T>(queries, n, dim, panel);
    auto* to = static_cast<int16_t*>(panel);
    for (size_t j = n * padded(dim); j < kLanes * padded(dim); ++j) to[j] = 0;
}

template <size_t kLanes>
TileResult run(const TileArgs& a) {
    const size_t width = padded(a.dim);
    size_t hits = 0, row = a.first;
    for (; row < a.n && hits + kLanes <= a.capacity; ++row) {
        const auto* x = reinterpret_cast<const int16_t*>(static_cast<const char*>(a.rows) + row * a.stride);
        const auto* q = static_cast<const int16_t*>(a.panel);
        for (size_t lane = 0; lane < kLanes; ++lane, q += width) {
            const float score = a.mul[row] * float(block<int16_t, false>(q, x, width)) + a.add[row];
            if (score <= a.bounds[lane]) a.hits[hits++] = {score, uint32_t(row), uint32_t(lane)};
        }
    }
    return {row, hits};
}

template <class T, size_t kLanes>
constexpr Tile tile() {
    return {kLanes, panel_bytes<kLanes>, pack_queries<T, kLanes>, rows_bytes, pack_rows<T>, stride, run<kLanes>};
}

void sq8_lower(const Sq8Query& q, const uint8_t* codes, const Sq8Row* rows, size_t dim, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i, codes += dim) {
        int32_t dot = 0;
        for (size_t j = 0; j < dim; ++j) dot += int32_t(int16_t(codes[j])) * int32_t(q.codes[j]);
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
    k.tiles[kU8] = {bytes::tile<uint8_t, 16>(), bytes::tile<uint8_t, 4>()};
    k.tiles[kI8] = {bytes::tile<int8_t, 16>(), bytes::tile<int8_t, 4>()};
    k.sq8_lower = bytes::sq8_lower;
}

}  // namespace
}  // namespace annkit::simd
