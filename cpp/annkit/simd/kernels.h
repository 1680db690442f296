// The table of kernels: every hot loop of annkit, one table an instruction set.
//
// A file of an instruction set includes its intrinsics and headers of this folder only (a standard header inlined in a
// file built for AVX-512 would leak AVX-512 code into the rest of the program through the linker).
#pragma once

#include <cstddef>
#include <cstdint>

#include "annkit/simd/code_queries.h"

namespace annkit::simd {

enum class Level : uint8_t { scalar, neon, avx2, avx512 };

// Element types of rows, in the order of the tables below. kSplit: float32 in two halves, the upper 16 bits of all of a
// row's floats, rounded to bfloat16, then the lower ones, signed: bits = (upper << 16) + lower. Scores are those of
// kF32 to the bit, and the upper halves by themselves are a row of kBf16.
enum Element : uint8_t { kF32, kF16, kBf16, kU8, kI8, kSplit, kElements };

// Scores n scattered rows against one query; a smaller score is nearer. The query is float32 for the float elements and
// of the rows' own type for u8 and i8. The order of additions depends on dim and the level alone, never on n or on the
// row's place: these are the canonical scores. l2: sum (q - x)^2; ip: -sum q x (exact integers for u8 and i8, rounded
// to float once).
using ScoreRows = void (*)(const void* query, const void* const* rows, size_t dim, size_t n, float* out);
// The same scores of n rows that lie one after the other.
using ScanRows = void (*)(const void* query, const void* rows, size_t dim, size_t n, float* out);

// Tiles: a panel of queries (packed once a batch) against a tile of rows (packed once a tile, or used as they lie).
// A tile filters: it reports the pairs whose score, known up to rounding, is not above the lane's bound.
struct TileHit {
    float score;
    uint32_t row;   // within the tile
    uint32_t lane;  // within the panel
};
struct TileArgs {
    const void* panel;
    const void* rows;
    size_t stride;     // bytes from one packed row to the next, where rows lie one after the other
    size_t dim;        // elements a row; for bits: bytes a code
    size_t n;          // rows in the tile
    size_t first;      // start here: what an earlier call returned as next
    const float* mul;  // score = mul[row] * dot + add[row]; unused by bits
    const float* add;
    const float* bounds;  // one a lane, NaN for a lane without a query: it reports nothing
    TileHit* hits;
    size_t capacity;  // of hits; at least kMinHits
    // Tiles of codes (see Kernels) only: score = mul[row] * (scales[lane] * dot + offsets[lane]) + add[row]
    // + errors[lane] * err[row]. err may be null: then without the last term.
    const float* scales = nullptr;
    const float* offsets = nullptr;
    const float* errors = nullptr;
    const float* err = nullptr;
    // Of byte codes: so many codes of a row, those at heavy_at, are also multiplied in floats, by weights of which each
    // code has one a lane of the tile: what that gives is added to offsets[lane]. Wide and narrow tiles take it with
    // err.
    size_t heavy = 0;
    const uint32_t* heavy_at = nullptr;
    const float* heavy_weights = nullptr;
    size_t pause = SIZE_MAX;  // return after so many hits, if any, so that bounds can be tightened
    bool far = false;         // rows come from memory: fetch them kFetchAhead bytes before their turn
    // Of tiles with all_scores: all scores go here instead, lane by lane, n apart, with room for all lanes; there are
    // no hits.
    float* scores = nullptr;
    // Of tiles with all_rows, where mul and add are null, instead of hits and by lane: the dots of all rows, or a bit
    // for each row that may be within the bound (all that are, and hardly others). Each lane has words(n) words, or
    // kWord times as many dots; there is room for all lanes.
    uint16_t* sums = nullptr;
    uint64_t* near = nullptr;
    static constexpr size_t kWord = 64;  // rows
    static constexpr size_t words(size_t n) { return (n + kWord - 1) / kWord; }
};
struct TileResult {
    size_t next;  // first row not yet done; n when finished. The caller drains the hits, tightens bounds and goes on.
    size_t hits;
};
inline constexpr size_t kMinHits = 2048;
inline constexpr size_t kMaxLanes = 64;
inline constexpr size_t kMostTileRows = 4096;  // of codes, in one call
inline constexpr size_t kFetchAhead = 4096;
inline constexpr size_t kBlockRows = 32;    // codes interleaved in a block
inline constexpr size_t kMostGroups = 256;  // of byte_tables
inline constexpr size_t kMostHeavy = 16;    // see TileArgs::heavy
inline constexpr size_t kMoreWords = 16;    // see near_words
inline constexpr size_t kGroupPoints = 64;  // points interleaved in a panel of nearest_in_group

// The nodes nearest to a query so far, in the order of their scores.
inline constexpr size_t kNearBlock = 16;
struct alignas(64) NearBlock {
    float scores[kNearBlock];
    uint32_t nodes[kNearBlock];
};
struct NearNodes {
    NearBlock* blocks;  // for one node more than most; scores behind the n-th, in its block, are no less than its own
    size_t n, most;
    size_t most_equal;  // of one score
    float score(size_t i) const { return blocks[i / kNearBlock].scores[i % kNearBlock]; }
    uint32_t& node(size_t i) const { return blocks[i / kNearBlock].nodes[i % kNearBlock]; }
};

struct Tile {
    size_t lanes;
    size_t (*panel_bytes)(size_t dim);
    void (*pack_queries)(const void* const* queries, size_t n, size_t dim, void* panel);  // n <= lanes; 64-byte aligned
    size_t (*rows_bytes)(size_t dim, size_t n);
    void (*pack_rows)(const void* const* rows, size_t n, size_t dim, void* out);  // 64-byte aligned
    size_t (*stride)(size_t dim);                                                 // of packed rows; 0: they interleave
    TileResult (*run)(const TileArgs&);
    bool all_scores = false;  // see TileArgs::scores
    bool all_rows = false;    // see TileArgs::sums
};
// Positions whose look-ups are added as bytes: so many, so far apart, from each of the first `apart` ones of every
// together * apart on.
struct ByteSums {
    size_t together = 1, apart = 1;
};
struct TilePair {
    Tile wide, narrow;  // narrow: for what is left of a batch (lanes of narrow <= lanes of wide)
    // Tiles of codes only: for a query or two (lanes of single <= lanes of narrow); with all_scores.
    Tile single = {};
};

// The nearest of n rows for each lane of a panel. Rows may come in several calls, in rising order: best and nearest go
// in and out, start best with infinity.
struct NearestArgs {
    const void* panel;
    const void* rows;
    size_t stride;  // bytes from one row to the next
    size_t dim, n;
    uint32_t first;    // the number of the first row
    const float* mul;  // score = mul[row] * dot + add[row]; of floats mul is not used, score = dot + add[row]
    const float* add;
    float* best;        // one a lane: the smallest score so far,
    uint32_t* nearest;  // and the lowest number among the rows that have it
    // minima_i8: products of so many more numbers are added in floats, a row's (n of the first number, then of the
    // next) times those of the lanes, likewise.
    size_t heavy = 0;
    const float *heavy_rows = nullptr, *heavy_lanes = nullptr;
};
inline constexpr size_t kMinimaRows = 8;  // see minima_i8
// Of floats: rows as they lie; a score is one chain of fused multiply-adds from add[row] on through the dimensions in
// order, whatever else is in the panel. Element j of the panel's lane i is panel[j * lanes + i], so groups of
// dimensions of a panel are panels too.
struct NearestTile {
    size_t lanes;
    void (*pack)(const float* rows, size_t apart, size_t n, size_t dim, float* panel);  // n <= lanes; zeros behind
    void (*run)(const NearestArgs&);
};

// Lower bounds of the scores of rows kept as 8-bit codes x ~ offset + scale * code, |x - decoded| <= error.
struct Sq8Row {
    float scale, offset, error, norm2;  // norm2 = |x|^2
};
struct Sq8Query {
    const int16_t* codes;  // q ~ scale * code; dim of them, readable up to a multiple of 64
    float scale, sum;      // sum = sum of the query's entries
    float norm;            // |q|, rounded up
    float mul, add;        // bound = mul * (estimated dot + error * norm + slack) + add + norm_weight * norm2
    float norm_weight, slack;
};

// A float row rounded to bytes: x - center ~ scale * code. Squares of what rounding took, and of x - center.
struct I8Row {
    float scale, error2, norm2;
};
inline constexpr float kLeastScale = 1e-12f;

// Rows times a matrix packed in columns of `lanes` outputs, dim * lanes floats each (zeros behind the last output):
// out[i][j] = start[j] + sum over k of rows[i][k] * matrix[k][j], one sum in the order of k. The result of a row
// depends on neither n nor its place. Strides count floats.
struct ProductArgs {
    const float* rows;
    size_t row_stride, n, dim;
    const float* matrix;
    size_t outputs;
    float* out;
    size_t out_stride;
    const float* start = nullptr;   // of a multiple of lanes, or null: zeros
    const float* coming = nullptr;  // rows that are asked for next, fetched meanwhile as if they lay like these
};
struct Product {
    size_t lanes, rows;  // rows: batches are fastest in multiples of so many
    void (*run)(const ProductArgs&);
};

// The tables of a query of product quantization: m groups of dim dimensions, with as many centroids each as entries
// says, a multiple of 16. Entry c of group g is |q - centroid|^2 for l2, else times * q.centroid.
struct TableArgs {
    const float* query;
    const float* columns;  // dimension by dimension: columns[(g * dim + j) * entries + c]
    size_t m, dim, entries;
    bool l2;
    float times;
};

struct WordRun {
    uint32_t first, last;  // places of words, last not among them
};

// What this machine can do at most, by plain loops: the benches put kernels beside them.
struct Probes {
    uint64_t (*fma)(uint64_t rounds);                  // runs fused multiply-adds; returns how many float operations
    uint64_t (*shuffle)(uint64_t rounds);              // returns how many 16-byte lanes were shuffled
    uint64_t (*read)(const void* data, size_t bytes);  // reads every byte, data 64-byte aligned, bytes % 1024 == 0
};

// Of two columns: x and y become cosine x - sine y and sine x + cosine y.
struct Rotation {
    double cosine, sine;
};
inline constexpr size_t kRotationRows = 16;

// Columns first to last of the lower half of a symmetric matrix: A -= v w^T + w v^T, then y += A x, by both halves. A
// column has n numbers of its own, vectors as many; behind them are kReflectionPadding zeros, which stay so.
struct Reflection {
    double* a;
    size_t stride, n, first, last;  // stride: from a column to the next
    const double *v, *w, *x;
    double* y;
};
inline constexpr size_t kReflectionPadding = 8;

struct Kernels {
    Level level;
    ScoreRows l2[kElements], ip[kElements];
    ScanRows scan_l2[kElements], scan_ip[kElements];
    // Adds the differences of scattered rows from a point to dim sums, of eight rows in float32 first; returns the sum
    // of their squares.
    double (*sum_differences)(const float* point, const float* const* rows, size_t dim, size_t n, double* sums);
    TilePair tiles[kElements];
    // |x|^2 of n rows of floats, stride floats apart: what ip gives of a row and itself, without its sign.
    void (*squares)(const float* rows, size_t stride, size_t dim, size_t n, float* out);

    ScoreRows hamming;  // dim counts bytes
    ScanRows hamming_scan;
    TilePair hamming_tiles;
    // Of words in runs: the places of those that differ from the query in at most so many bits, as they come; returns
    // how many. out has room for kMoreWords beyond all of them.
    size_t (*near_words)(const uint32_t* words, const WordRun* runs, size_t n, uint32_t query, uint32_t most,
                         uint32_t* out);

    void (*sq8_lower)(const Sq8Query&, const uint8_t* codes, const Sq8Row* rows, size_t dim, size_t n, float* out);

    // Scalar quantization: out = low + step * code; and code = (x - low) * inverse, rounded and clamped to [0, most].
    void (*decode_u8)(const uint8_t* codes, const float* low, const float* step, size_t dim, float* out);
    void (*encode_u8)(const float* x, const float* low, const float* inverse, float most, size_t dim, uint8_t* codes);

    // Codes of 6 bits, least significant bits first, as bytes. dim is a multiple of 4.
    void (*unpack6)(const uint8_t* packed, size_t dim, uint8_t* codes);

    // out = sum of query * code for rows of u8, the query float32; as ScoreRows, without its sign.
    ScoreRows dot_u8;

    // Scattered rows of codes against one query in bytes. byte_scores: a code a byte. nibble_scores: two of them, the
    // first in the low half.
    using CodeScores = void (*)(const CodeQuery&, const void* const* rows, size_t n, float* out);
    CodeScores byte_scores, nibble_scores;
    // The query's scores (of bytes; without add_at) plus add.
    void (*byte_run)(const CodeQuery& query, const CodeRows& rows, float* out);
    void (*weigh)(const float* query, const CodeRange& range, float* weights, WeightSums& sums);
    // The scale is at least kLeastWeightScale.
    void (*round_weights)(const float* weights, const float* mean, size_t dim, RoundedWeights& out);

    // Tiles of codes, which lie as they are stored: pack_rows, rows_bytes and stride are null. Nothing is read behind
    // the last row, or block. bounds, scales, offsets and errors have as many entries as the tile has lanes. A capacity
    // of several kMinHits saves calls: each step asks for room for all hits of up to 64 rows.
    //
    // byte_codes: rows of u8, padded with zeros to a multiple of 4 bytes, args.stride apart (a multiple of 4); queries
    // (pack_queries) are dim int8 of at most byte_query_levels in size. dot = sum of code * query, exact in int32 up to
    // 65,536 dimensions. dim counts elements. wide and narrow take the same time whatever part of their lanes has
    // queries, single does not.
    //
    // nibble_codes: 4-bit codes in blocks of kBlockRows rows; queries are tables of 16 bytes for each of dim positions
    // (dim even). dot = sum over positions of table[position][code], exact if the maxima of a query's tables add up to
    // less than 2^16. Fastest are tables of which the maxima at positions of nibble_sums add up to less than 255. A
    // block is dim / 2 times 32 bytes, two positions each; of those, byte i of the first (second) 16 holds the first
    // (second) position's codes of rows i (low nibble) and i + 16 (high). args.first is a multiple of kBlockRows; a
    // last block may hold fewer rows, but is there as a whole. mul and add may both be null, meaning 1 and 0 (then err
    // is null, too, and scales are positive), which is faster.
    //
    // byte_tables: rows of dim bytes, args.stride apart, dim at most kMostGroups; queries are tables of 256 bytes for
    // each. dot = sum of table[position][code], exact. mul and add as for nibble_codes. Null where there is no such
    // kernel.
    TilePair byte_codes, nibble_codes, byte_tables;
    ByteSums nibble_sums;
    // Of nibbles in blocks: for each of n rows, which is row rows[i] of the block at blocks[i], the sum of the entries
    // of its codes in m tables of 16 floats. Four sums take turns, (s0 + s1) + (s2 + s3), and what is left of the
    // groups is added behind: the same at every level.
    void (*sum_nibbles)(const float* tables, size_t m, const void* const* blocks, const uint8_t* rows, size_t n,
                        float* out);
    int byte_query_levels;

    NearestTile nearest;
    // Of bytes, on panels and packed rows of tiles[kI8].wide; null where floats are as fast.
    void (*nearest_i8)(const NearestArgs&);
    // The same by blocks of kMinimaRows rows (n is a multiple): block b's smallest scores go to minima[b * lanes], and
    // nearest gets the number of the block, a.first being that of the first one.
    void (*minima_i8)(const NearestArgs&, float* minima);
    // Product quantization: for each point of the panels, the number of the centroid with the least norm +
    // centroid.point, the lowest among equals. panels: for each kGroupPoints points, dim times that many floats, those
    // of a dimension side by side; centroids: k of them, a multiple of 4, the k values of a dimension side by side.
    // What a point gets does not depend on its place.
    void (*nearest_in_group)(const float* panels, size_t n_panels, size_t dim, const float* centroids,
                             const float* norms, size_t k, uint32_t* nearest);
    void (*product_tables)(const TableArgs&, float* out);
    // Of m tables, of so many entries each: the least and the largest; and (entry - least) * inverse, rounded down and
    // at most 255.
    void (*table_ranges)(const float* tables, size_t m, size_t entries, float* least, float* largest);
    void (*round_tables)(const float* tables, size_t m, size_t entries, const float* least, float inverse,
                         uint8_t* out);
    // Levels v of up to 8 bits as planes of bits against a float query: sum of q[j] * (v[j] - (2^planes - 1) / 2). A
    // plane is dim / 8 bytes, bit j % 8 of byte j / 8 belongs to entry j; top is the highest plane, below are the
    // others, the lowest first. dim is a multiple of 8. The order of additions depends on dim and the level alone.
    float (*plane_dot)(const float* q, const uint8_t* top, const uint8_t* below, size_t planes, size_t dim);
    // A plane of bits from each of n rows of floats, one behind the other: bit j is set where x[j] > threshold[j]. Bits
    // beyond dim are 0. Returns the sum of the squares of all values, not finite if one of them is not.
    float (*planes_above)(const float* rows, size_t stride, size_t n, const float* threshold, size_t dim,
                          uint8_t* planes);

    // Indices i with scores[i] <= bound, ascending; returns how many. out has room for n.
    size_t (*select)(const float* scores, size_t n, float bound, uint32_t* out);
    size_t (*count)(const float* scores, size_t n, float bound);  // how many those are
    // How many of n numbers each is above; returns whether no two are equal, and none is NaN.
    bool (*rank)(const float* numbers, size_t n, uint32_t* ranks);
    // Of 16-bit numbers, in the same way as select, those from least to most; none if that is less.
    size_t (*select16)(const uint16_t* numbers, size_t n, uint16_t least, uint16_t most, uint32_t* out);
    // A number that at least k of the n are within, 1 <= k <= n: the k-th smallest of the minima of some parts.
    uint16_t (*bound16)(const uint16_t* numbers, size_t n, size_t k);

    // Of n nodes those go to where they belong, behind equal ones, that are no farther than bound, which is finite,
    // and, where there are as many as there may be, nearer than the last, which goes. What lies before the place that
    // it returns has not changed.
    size_t (*push_near)(NearNodes& near, const float* scores, const uint32_t* nodes, size_t n, float bound);

    void (*widen[2])(const uint16_t* in, size_t n, float* out);   // f16, bf16 to f32
    void (*narrow[2])(const float* in, size_t n, uint16_t* out);  // nearest, ties to even; overflow to infinity
    void (*split)(const float* in, size_t n, uint16_t* out);      // to a row of kSplit, and back
    void (*join)(const uint16_t* in, size_t n, float* out);

    Product product;
    // out = row - mean for rows of floats, unless mean is null; out's rows have room for a multiple of 16 floats.
    // Returns the sum of the squares of all rows' values, not finite if one of them is not.
    float (*center)(const float* rows, size_t stride, size_t n, const float* mean, size_t dim, float* out,
                    size_t out_stride);
    // The Walsh-Hadamard transform in place, not scaled. n is a power of two.
    void (*hadamard)(float* x, size_t n);

    // Rounds x - center to scale * code, with the scale given or, if 0, chosen: the largest entry becomes 127. Entries
    // are at most 127 * scale; a row too small for kLeastScale gets a scale of 0 and codes of 0.
    void (*to_i8)(const float* x, const float* center, size_t dim, float scale, int8_t* codes, I8Row& row);
    // Batches of so many float queries gain from tiles of i8 that filter for them, at 128 dimensions; 0: none do. Then
    // those tiles have as many lanes as the float tiles.
    size_t filter_queries;

    Probes probes;

    // n rotations, one after the other: the first of columns 0 and 1, the next of 1 and 2. A column is kRotationRows
    // numbers. The same to the bit at every level.
    void (*rotate_columns)(double* columns, const Rotation* rotations, size_t n);
    void (*reflect_columns)(const Reflection&);
};

// The best table that this machine runs, ANNKIT_SIMD allows and that has been tested on real hardware.
const Kernels& kernels();
// The table of one level, for tests and benches; null where this machine or build does not have it.
const Kernels* kernels_at(Level level);
const char* name(Level level);

// Filled on top of the level below; defined in the file of the level, and called only where the machine has it.
void fill_scalar(Kernels&);
void fill_neon(Kernels&);
void fill_avx2(Kernels&);
void fill_avx512(Kernels&);

}  // namespace annkit::simd
