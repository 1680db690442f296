#include "annkit/codec/codec.h"

#include "annkit/codec/partition_batch.h"
#include "annkit/codec/walk_scorer.h"
#include "annkit/core/errors.h"

namespace annkit {

void Scorer::gather_nearest(size_t, float, const uint32_t* rows, size_t n, float* out) const { gather(rows, n, out); }

std::string Codec::factory(std::optional<bool>) const { fail("no factory string has a word for ", repr()); }

void Codec::check_supports(Metric metric) const {
    if (supports(metric)) return;
    const std::string_view expected = metric == Metric::hamming   ? "Bits() or SignBits()"
                                      : supports(Metric::hamming) ? "metric \"hamming\""
                                                                  : "metric \"l2\", \"euclidean\" or \"ip\"";
    fail("metric \"", name(metric), "\" does not go with codec ", repr(), ", expected ", expected);
}

void Codec::decode_rows(const Codes& codes, size_t first, size_t n, size_t dim, void* out) const {
    auto* to = static_cast<std::byte*>(out);
    for (size_t i = 0; i < n; ++i, to += row_bytes(dim)) decode(codes, first + i, dim, to);
}

std::unique_ptr<TileQueries> Codec::tile_queries(const CodeUse&, const Rows&, const Call&) const { return nullptr; }

std::unique_ptr<Scorer> Codec::scorer(Metric metric, const Codes& codes, size_t) const {
    return std::make_unique<PartitionScorer>(*this, metric, codes);
}

std::unique_ptr<WalkScorer> Codec::walk_scorer(Metric metric, const Codes& codes, size_t dim) const {
    return std::make_unique<CanonicalWalk>(*this, metric, codes, dim);
}

std::unique_ptr<BatchScorer> Codec::batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                                 const Call& call) const {
    return std::make_unique<PartitionBatch>(tile_queries({metric}, queries, call), codes);
}

}  // namespace annkit
