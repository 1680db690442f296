#include "annkit/codec/bits.h"

#include <cstring>

#include "annkit/codec/raw_queries.h"
#include "annkit/codec/tile_batch.h"
#include "annkit/codec/walk_scorer.h"

namespace annkit {

RowScoring bit_scoring(size_t bytes) {
    const simd::Kernels& k = simd::kernels();
    return {.metric = Metric::hamming,
            .score = k.hamming,
            .scan = k.hamming_scan,
            .ip = nullptr,
            .tiles = k.hamming_tiles,
            .dim = bytes,
            .float_queries = false,
            .in_place = false};
}

// `bars.py hamming`: of 64 bits, 12 queries take as long one by one as by a tile; of 256 bits, 16; of 1,024 bits, 20.
size_t bit_tiles_from(size_t bytes) { return bytes <= 8 ? 12 : 16; }

void Bits::encode(const Rows& rows, const float*, Codes& into, size_t first) const {
    for (size_t i = 0; i < rows.n; ++i) copy_bytes(rows, i, into.columns[0].at<uint8_t>(first + i));
}

void Bits::decode(const Codes& codes, size_t row, size_t, void* out) const {
    std::memcpy(out, codes.code(row), codes.code_bytes());
}

std::unique_ptr<TileQueries> Bits::tile_queries(const CodeUse&, const Rows& queries, const Call&) const {
    return std::make_unique<RawQueries>(bit_scoring(queries.elements()), queries);
}

std::unique_ptr<Scorer> Bits::scorer(Metric, const Codes& codes, size_t dim) const {
    return std::make_unique<RowScorer>(bit_scoring(dim / 8), codes);
}

std::unique_ptr<WalkScorer> Bits::walk_scorer(Metric, const Codes& codes, size_t dim) const {
    return std::make_unique<RowWalk>(bit_scoring(dim / 8), codes);
}

std::unique_ptr<BatchScorer> Bits::batch_scorer(Metric, const Codes& codes, const Rows& queries,
                                                const Call& call) const {
    if (queries.n < bit_tiles_from(queries.elements())) return nullptr;
    return std::make_unique<TileBatch>(bit_scoring(queries.elements()), codes, queries, call.threads);
}

}  // namespace annkit
