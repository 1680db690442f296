// The tiles of every level that this machine has, queries against rows or codes, and the search for the nearest by
// them, against plain loops.
#include "kernel_rows.h"

namespace {

using namespace kernel_rows;

// All hits of a tile, called as often as it takes.
using Hits = std::map<std::pair<uint32_t, uint32_t>, float>;
Hits hits_of(Trial& t, const Tile& tile, TileArgs args, size_t capacity = kMinHits) {
    Hits all;
    std::vector<TileHit> hits(capacity);
    args.hits = hits.data();
    args.capacity = capacity;
    size_t found = 0;
    for (args.first = 0; args.first < args.n;) {
        const TileResult done = tile.run(args);
        t.expect(done.next > args.first, "a tile that goes on", args.dim, args.n);
        if (done.next <= args.first) break;
        for (size_t i = 0; i < done.hits; ++i) all[{hits[i].row, hits[i].lane}] = hits[i].score;
        found += done.hits;
        args.first = done.next;
    }
    t.expect(found == all.size(), "a tile that reports a pair once", args.dim, args.n);
    return all;
}

// Bounds of lanes: all, none, one without a query, and what lets some through.
std::vector<float> bounds_of(size_t queries, size_t lanes, float middle) {
    std::vector<float> bounds(lanes, std::numeric_limits<float>::quiet_NaN());
    for (size_t i = 0; i < queries; ++i) bounds[i] = i == 0 ? kInfinity : i == 1 ? -kInfinity : middle;
    return bounds;
}

// score: of a row and a lane.
template <class Score>
Hits wanted(size_t n, const std::vector<float>& bounds, const Score& score) {
    Hits all;
    for (uint32_t row = 0; row < n; ++row)
        for (uint32_t lane = 0; lane < bounds.size(); ++lane)
            if (!std::isnan(bounds[lane]) && score(row, lane) <= bounds[lane]) all[{row, lane}] = score(row, lane);
    return all;
}

void tiles_of_rows(Trial& t) {
    for (int element = 0; element < kElements; ++element)
        for (const Tile& tile : {t.k.tiles[element].wide, t.k.tiles[element].narrow})
            for (size_t dim : kDims)
                for (size_t n : {1u, 5u, 53u}) {
                    const size_t queries = std::max<size_t>(tile.lanes - n % 2, 1);
                    const Matrix x = matrix(t.random, n, dim, element), q = matrix(t.random, queries, dim, element);
                    const auto rows = stored(x, element), query = stored(q, is_bytes(element) ? element : kF32);
                    const Packed panel(tile.panel_bytes(dim)), packed(tile.rows_bytes(dim, n));
                    tile.pack_queries(pointers(query, queries).data(), queries, dim, panel.get());
                    tile.pack_rows(pointers(rows, n).data(), n, dim, packed.get());
                    std::vector<float> add(n);
                    for (size_t i = 0; i < n; ++i) add[i] = float(dot(x, i, x, i));
                    const std::vector<float> mul(n, -2), bounds = bounds_of(queries, tile.lanes, add[0]);
                    const Hits hits = hits_of(t, tile,
                                              {.panel = panel.get(),
                                               .rows = packed.get(),
                                               .stride = tile.stride(dim),
                                               .dim = dim,
                                               .n = n,
                                               .first = 0,
                                               .mul = mul.data(),
                                               .add = add.data(),
                                               .bounds = bounds.data(),
                                               .hits = nullptr,
                                               .capacity = 0});
                    t.expect(hits == wanted(n, bounds,
                                            [&](size_t row, size_t lane) {
                                                return add[row] - 2 * float(dot(x, row, q, lane));
                                            }),
                             "a tile of rows", dim, n);
                }
}

void tiles_of_bits(Trial& t) {
    for (size_t width : kDims)
        for (size_t n : {1u, 4u, 77u, 600u}) {
            const Matrix x(t.random, n, width, 0, 255), q(t.random, kMaxLanes, width, 0, 255);
            const auto rows = stored(x, kU8), queries = stored(q, kU8);
            for (const Tile& tile : {t.k.hamming_tiles.wide, t.k.hamming_tiles.narrow}) {
                const size_t lanes = tile.lanes - n % 2;
                const Packed panel(tile.panel_bytes(width)), packed(tile.rows_bytes(width, n));
                tile.pack_queries(pointers(queries, kMaxLanes).data(), lanes, width, panel.get());
                tile.pack_rows(pointers(rows, n).data(), n, width, packed.get());
                const std::vector<float> bounds = bounds_of(lanes, tile.lanes, float(4 * width));
                const Hits hits = hits_of(t, tile,
                                          {.panel = panel.get(),
                                           .rows = packed.get(),
                                           .stride = tile.stride(width),
                                           .dim = width,
                                           .n = n,
                                           .first = 0,
                                           .mul = nullptr,
                                           .add = nullptr,
                                           .bounds = bounds.data(),
                                           .hits = nullptr,
                                           .capacity = 0});
                t.expect(
                    hits == wanted(n, bounds,
                                   [&](size_t row, size_t lane) { return float(different_bits(q, lane, x, row)); }),
                    "a tile of bits", width, n);
            }
        }
}

// Codes as a kind of tile takes them: bytes in rows of a multiple of 4, nibbles in blocks, bytes as they are.
enum class Kind { bytes, nibbles, tables };
std::vector<uint8_t> packed_codes(Kind kind, const Matrix& codes) {
    if (kind == Kind::tables) return codes.as<uint8_t>();
    const size_t stride = (codes.dim + 3) / 4 * 4, blocks = (codes.n + kBlockRows - 1) / kBlockRows;
    std::vector<uint8_t> out(kind == Kind::bytes ? codes.n * stride : blocks * codes.dim * 16);
    for (size_t i = 0; i < codes.n; ++i)
        for (size_t j = 0; j < codes.dim; ++j) {
            const auto code = uint8_t(codes(i, j));
            if (kind == Kind::bytes) {
                out[i * stride + j] = code;
                continue;
            }
            const size_t row = i % kBlockRows;
            out[(i / kBlockRows * codes.dim + j) * 16 + row % 16] |= uint8_t(row < 16 ? code : code << 4);
        }
    return out;
}

// Scales and offsets are powers of two.
template <class Score>
void all_rows_of_tile(Trial& t, const Tile& tile, TileArgs args, const Score& score) {
    const size_t words = TileArgs::words(args.n);
    std::vector<uint16_t> sums(tile.lanes * words * TileArgs::kWord);
    std::vector<uint64_t> near(tile.lanes * words, ~uint64_t(0));
    args.capacity = kMinHits;
    args.sums = sums.data();
    tile.run(args);
    args.sums = nullptr;
    args.near = near.data();
    tile.run(args);
    bool right = true;
    for (size_t lane = 0; lane < tile.lanes; ++lane)
        for (size_t row = 0; row < words * TileArgs::kWord; ++row) {
            const bool is_near = near[lane * words + row / TileArgs::kWord] >> row % TileArgs::kWord & 1;
            if (row >= args.n) {
                right = right && !is_near;
                continue;
            }
            const float sum = sums[lane * words * TileArgs::kWord + row];
            right = right && args.scales[lane] * sum + args.offsets[lane] == score(row, lane);
            right = right && (is_near || !(score(row, lane) <= args.bounds[lane])) &&
                    (!is_near || score(row, lane) <= args.bounds[lane] || sum == 0);
        }
    t.expect(right, "all rows of a tile of codes", args.dim, args.n);
}

void tile_of_codes(Trial& t, Kind kind, const Tile& tile, size_t dim, size_t n, bool sided, size_t heavy = 0) {
    const size_t entries = kind == Kind::bytes ? 1 : kind == Kind::nibbles ? 16 : 256;
    const int most = kind == Kind::bytes ? t.k.byte_query_levels : std::min(255, 65535 / int(dim));
    const Matrix codes(t.random, n, dim, 0, kind == Kind::nibbles ? 15 : 255);
    const Matrix q(t.random, tile.lanes, dim * entries, kind == Kind::bytes ? -most : 0, most);
    const auto queries = stored(q, kind == Kind::bytes ? int(kI8) : int(kU8));
    const auto dots = [&](size_t row, size_t lane) {
        int64_t sum = 0;
        for (size_t j = 0; j < dim; ++j)
            sum += kind == Kind::bytes ? codes(row, j) * q(lane, j) : q(lane, j * entries + size_t(codes(row, j)));
        return float(sum);
    };
    const Packed panel(tile.panel_bytes(dim));
    tile.pack_queries(pointers(queries, tile.lanes).data(), tile.lanes, dim, panel.get());
    const std::vector<uint8_t> rows = packed_codes(kind, codes);
    // Powers of two and small whole numbers: nothing is rounded.
    std::vector<float> mul(n), add(n), err(n), scales(tile.lanes, 2), offsets(tile.lanes, 1), errors(tile.lanes, -3);
    for (size_t i = 0; i < n; ++i) mul[i] = i % 2 ? 2 : -1, add[i] = float(i % 7), err[i] = float(i % 3);
    std::vector<uint32_t> heavy_at(heavy);
    std::vector<float> heavy_weights(heavy * tile.lanes);
    for (size_t i = 0; i < heavy; ++i) heavy_at[i] = uint32_t(i + 1 < heavy ? i * dim / heavy : dim - 1);
    for (size_t i = 0; i < heavy_weights.size(); ++i) heavy_weights[i] = float(int(i * i % 23) - 11);
    const auto score = [&](size_t row, size_t lane) {
        float inner = scales[lane] * dots(row, lane) + offsets[lane];
        for (size_t i = 0; i < heavy; ++i)
            inner += heavy_weights[i * tile.lanes + lane] * float(codes(row, heavy_at[i]));
        return sided ? mul[row] * inner + add[row] + errors[lane] * err[row] : inner;
    };
    const std::vector<float> bounds = bounds_of(tile.lanes, tile.lanes, score(0, tile.lanes - 1));
    TileArgs args{.panel = panel.get(),
                  .rows = rows.data(),
                  .stride = kind == Kind::bytes ? (dim + 3) / 4 * 4 : dim,
                  .dim = dim,
                  .n = n,
                  .first = 0,
                  .mul = sided ? mul.data() : nullptr,
                  .add = sided ? add.data() : nullptr,
                  .bounds = bounds.data(),
                  .hits = nullptr,
                  .capacity = 0,
                  .scales = scales.data(),
                  .offsets = offsets.data(),
                  .errors = errors.data(),
                  .err = sided ? err.data() : nullptr,
                  .heavy = heavy,
                  .heavy_at = heavy_at.data(),
                  .heavy_weights = heavy_weights.data()};
    args.far = n % 2 == 1;
    t.expect(hits_of(t, tile, args) == wanted(n, bounds, score), "a tile of codes", dim, n);
    if (kind == Kind::bytes && tile.all_scores) {
        std::vector<float> scores(tile.lanes * n);
        TileHit none;
        args.hits = &none, args.capacity = kMinHits, args.scores = scores.data();
        tile.run(args);
        args.scores = nullptr;
        bool right = true;
        for (size_t lane = 0; lane < tile.lanes; ++lane)
            for (size_t row = 0; row < n; ++row) right = right && scores[lane * n + row] == score(row, lane);
        t.expect(right, "all scores of a tile of codes", dim, n);
    }
    if (kind == Kind::nibbles && tile.all_rows && !sided) all_rows_of_tile(t, tile, args, score);
}

void tiles_of_codes(Trial& t) {
    const auto each = [&](Kind kind, const TilePair& tiles) {
        for (const Tile& tile : {tiles.wide, tiles.narrow, tiles.single})
            for (size_t dim : kDims)
                for (size_t n : {1u, 31u, 53u, 96u, 129u}) {
                    if (tile.run == nullptr || (kind == Kind::nibbles && dim % 2)) continue;
                    tile_of_codes(t, kind, tile, dim, n, true);
                    if (kind != Kind::bytes) tile_of_codes(t, kind, tile, dim, n, false);
                    if (kind != Kind::bytes) continue;
                    for (const size_t heavy : {size_t(1), kMostHeavy})
                        tile_of_codes(t, kind, tile, dim, n, true, heavy);
                }
    };
    each(Kind::bytes, t.k.byte_codes);
    each(Kind::nibbles, t.k.nibble_codes);
    each(Kind::tables, t.k.byte_tables);
}

void nearest(Trial& t) {
    const auto check_nearest = [&](bool of_bytes, size_t dim, size_t n) {
        const Tile& tile = t.k.tiles[kI8].wide;
        const size_t lanes = of_bytes ? tile.lanes : t.k.nearest.lanes, queries = std::max<size_t>(lanes - n % 3, 1);
        const Matrix x(t.random, n, dim, -3, 3), q(t.random, queries, dim, -3, 3);  // many rows tie
        const int element = of_bytes ? int(kI8) : int(kF32);
        const auto rows = stored(x, element), query = stored(q, element);
        const Packed panel(std::max(tile.panel_bytes(dim), dim * lanes * 4));
        const Packed packed(std::max(tile.rows_bytes(dim, n), rows.size()));
        if (of_bytes) {
            tile.pack_queries(pointers(query, queries).data(), queries, dim, panel.get());
            tile.pack_rows(pointers(rows, n).data(), n, dim, packed.get());
        } else {
            t.k.nearest.pack(reinterpret_cast<const float*>(query.data()), dim, queries, dim,
                             reinterpret_cast<float*>(panel.get()));
        }
        std::vector<float> best(lanes, kInfinity), mul(n, of_bytes ? -2 : 1), add(n);
        std::vector<uint32_t> at(lanes);
        for (size_t i = 0; i < n; ++i) add[i] = float(int(i % 5));
        const std::byte* data = of_bytes ? packed.get() : rows.data();
        const size_t stride = of_bytes ? tile.stride(dim) : dim * 4;
        for (const auto& [first, last] : {std::pair{size_t(0), n / 3}, {n / 3, n}})
            (of_bytes ? t.k.nearest_i8
                      : t.k.nearest.run)({panel.get(), data + first * stride, stride, dim, last - first,
                                          uint32_t(first), &mul[0] + first, &add[0] + first, best.data(), at.data()});
        bool right = true;
        for (size_t lane = 0; lane < queries; ++lane) {
            float least = kInfinity;
            uint32_t first = 0;
            for (uint32_t row = 0; row < n; ++row) {
                const float score = add[row] + mul[row] * float(dot(x, row, q, lane));
                if (score < least) least = score, first = row;
            }
            right = right && best[lane] == least && at[lane] == first;
        }
        t.expect(right, of_bytes ? "nearest_i8" : "nearest", dim, n);
    };
    for (size_t dim : kDims)
        for (size_t n : {1u, 3u, 5u, 13u, 40u, 101u}) {
            check_nearest(false, dim, n);
            if (t.k.nearest_i8 != nullptr) check_nearest(true, dim, n);
        }
}

void minima(Trial& t) {
    if (t.k.minima_i8 == nullptr) return;
    const Tile& tile = t.k.tiles[kI8].wide;
    for (size_t dim : kDims)
        for (size_t blocks : {1u, 2u, 9u}) {
            const size_t n = blocks * kMinimaRows, lanes = tile.lanes;
            const Matrix x(t.random, n, dim, -9, 9), q(t.random, lanes, dim, -9, 9);
            const auto rows = stored(x, kI8), query = stored(q, kI8);
            const Packed panel(tile.panel_bytes(dim)), packed(tile.rows_bytes(dim, n));
            tile.pack_queries(pointers(query, lanes).data(), lanes, dim, panel.get());
            tile.pack_rows(pointers(rows, n).data(), n, dim, packed.get());
            std::vector<float> best(lanes, kInfinity), out(blocks * lanes), mul(n, -2), add(n, 1);
            std::vector<uint32_t> at(lanes);
            const size_t heavy = blocks % 3;
            const Matrix of_rows(t.random, heavy, n, -9, 9), of_lanes(t.random, heavy, lanes, -9, 9);
            const std::vector<float> heavy_rows = of_rows.as<float>(), heavy_lanes = of_lanes.as<float>();
            t.k.minima_i8({panel.get(), packed.get(), tile.stride(dim), dim, n, 0, mul.data(), add.data(), best.data(),
                           at.data(), heavy, heavy_rows.data(), heavy_lanes.data()},
                          out.data());
            bool right = true;
            for (size_t lane = 0; lane < lanes; ++lane) {
                size_t least = 0;
                for (size_t b = 0; b < blocks; ++b) {
                    float score = kInfinity;
                    for (size_t i = b * kMinimaRows; i < (b + 1) * kMinimaRows; ++i) {
                        float one = 1 - 2 * float(dot(x, i, q, lane));
                        for (size_t h = 0; h < heavy; ++h) one += float(of_rows(h, i) * of_lanes(h, lane));
                        score = std::min(score, one);
                    }
                    right = right && out[b * lanes + lane] == score;
                    if (score < out[least * lanes + lane]) least = b;
                }
                right = right && at[lane] == least;
            }
            t.expect(right, "minima_i8", dim, n);
        }
}

}  // namespace

int main() { return kernel_rows::run("kernel tiles", {tiles_of_rows, tiles_of_bits, tiles_of_codes, nearest, minima}); }
