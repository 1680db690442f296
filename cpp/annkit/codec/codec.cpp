#include "annkit/codec/codec.h"

namespace annkit {

std::unique_ptr<TileQueries> Codec::tile_queries(const CodeUse&, const Rows&) const { return nullptr; }
std::unique_ptr<Scorer> Codec::scorer(Metric, const Codes&, size_t) const { return nullptr; }
std::unique_ptr<BatchScorer> Codec::batch_scorer(Metric, const Codes&, const Rows&, int) const { return nullptr; }

}  // namespace annkit
