// Tiles of codes, bytes and nibbles, in plain C++: what machines without vectors of their own level run.
// Bottlenecks: the multiplier (bytes: pmaddwd or smlal, as the compiler finds them), and one table look-up at a time
// (nibbles).
#pragma once

#include "annkit/simd/kernels.h"
#include "annkit/simd/nibble_entries.h"

namespace annkit::simd {
namespace {
namespace codes {

// Reports a row's pair with a lane, or writes its score, which is as kernels.h has it.
struct Score {
    const TileArgs& a;
    bool report(float dot, float offset, size_t row, size_t lane, TileHit& hit) const {
        float score = a.scales[lane] * dot + offset;
        if (a.mul != nullptr) score = a.mul[row] * score + a.add[row];
        if (a.err != nullptr) score += a.errors[lane] * a.err[row];
        if (a.scores != nullptr) return a.scores[lane * a.n + row] = score, false;
        hit = {score, uint32_t(row), uint32_t(lane)};
        return score <= a.bounds[lane];
    }
};

// Bytes. Panel: the queries, one after the other, as 16-bit numbers, zeros up to a multiple of 4.
size_t padded(size_t dim) { return (dim + 3) / 4 * 4; }

template <size_t kLanes>
size_t byte_panel_bytes(size_t dim) {
    return kLanes * padded(dim) * sizeof(int16_t);
}

template <size_t kLanes>
void pack_byte_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    auto* to = static_cast<int16_t*>(panel);
    for (size_t lane = 0; lane < kLanes; ++lane, to += padded(dim)) {
        const auto* q = lane < n ? static_cast<const int8_t*>(queries[lane]) : nullptr;
        for (size_t j = 0; j < padded(dim); ++j) to[j] = q != nullptr && j < dim ? q[j] : int16_t(0);
    }
}

template <size_t kLanes>
TileResult run_bytes(const TileArgs& a) {
    const size_t width = padded(a.dim);
    size_t hits = 0, row = a.first;
    for (; row < a.n && hits + kLanes <= a.capacity; ++row) {
        const auto* x = static_cast<const uint8_t*>(a.rows) + row * a.stride;
        const auto* q = static_cast<const int16_t*>(a.panel);
        for (size_t lane = 0; lane < kLanes; ++lane, q += width) {
            int32_t dot = 0;
            for (size_t j = 0; j < width; ++j) dot += int32_t(q[j]) * int32_t(int16_t(x[j]));
            float offset = a.offsets[lane];
            for (size_t i = 0; i < a.heavy; ++i) offset += a.heavy_weights[i * kLanes + lane] * float(x[a.heavy_at[i]]);
            hits += Score{a}.report(float(dot), offset, row, lane, a.hits[hits]);
        }
    }
    return {row, hits};
}

// Nibbles. Panel: the queries' tables, one query after the other; before them, how many there are.
inline constexpr size_t kHeader = 64;

template <size_t kLanes>
size_t nibble_panel_bytes(size_t dim) {
    return kHeader + kLanes * dim * 16;
}

void pack_nibble_queries(const void* const* queries, size_t n, size_t dim, void* panel) {
    const uint64_t count = n;
    __builtin_memcpy(panel, &count, sizeof count);
    for (size_t lane = 0; lane < n; ++lane)
        __builtin_memcpy(static_cast<uint8_t*>(panel) + kHeader + lane * dim * 16, queries[lane], dim * 16);
}

// The dots of a block's rows with one query.
void look_up(const uint8_t* table, const uint8_t* block, size_t dim, uint16_t (&dots)[kBlockRows]) {
    for (uint16_t& dot : dots) dot = 0;
    for (size_t p = 0; p < dim; ++p, table += 16, block += 16)
        for (size_t i = 0; i < 16; ++i) {
            dots[i] = uint16_t(dots[i] + table[block[i] & 15]);
            dots[i + 16] = uint16_t(dots[i + 16] + table[block[i] >> 4]);
        }
}

TileResult run_nibbles(const TileArgs& a) {
    uint64_t lanes;
    __builtin_memcpy(&lanes, a.panel, sizeof lanes);
    size_t hits = 0, row = a.first;
    for (; row < a.n; row += kBlockRows) {
        if (hits >= a.pause || hits + lanes * kBlockRows > a.capacity) return {row, hits};
        const size_t rows = a.n - row < kBlockRows ? a.n - row : kBlockRows;
        const auto* table = static_cast<const uint8_t*>(a.panel) + kHeader;
        for (size_t lane = 0; lane < lanes; ++lane, table += a.dim * 16) {
            uint16_t dots[kBlockRows];
            look_up(table, static_cast<const uint8_t*>(a.rows) + row / kBlockRows * a.dim * 16, a.dim, dots);
            for (size_t i = 0; i < rows; ++i)
                hits += Score{a}.report(dots[i], a.offsets[lane], row + i, lane, a.hits[hits]);
        }
    }
    return {a.n, hits};
}

template <size_t kLanes>
constexpr Tile byte_tile() {
    return {kLanes, byte_panel_bytes<kLanes>, pack_byte_queries<kLanes>, nullptr, nullptr, nullptr, run_bytes<kLanes>,
            true};
}

template <size_t kLanes>
constexpr Tile nibble_tile() {
    return {kLanes, nibble_panel_bytes<kLanes>, pack_nibble_queries, nullptr, nullptr, nullptr, run_nibbles, true};
}

void sum_nibbles(const float* table, size_t m, const void* const* blocks, const uint8_t* rows, size_t n, float* out) {
    for (size_t i = 0; i < n; ++i)
        out[i] = nibble_entries::sum_of(table, m, static_cast<const uint8_t*>(blocks[i]), rows[i]);
}

}  // namespace codes

void fill_codes(Kernels& k) {
    k.byte_codes = {codes::byte_tile<16>(), codes::byte_tile<4>(), codes::byte_tile<1>()};
    k.byte_query_levels = 127;
    k.nibble_codes = {codes::nibble_tile<16>(), codes::nibble_tile<4>(), codes::nibble_tile<1>()};
    k.sum_nibbles = codes::sum_nibbles;
}

}  // namespace
}  // namespace annkit::simd
