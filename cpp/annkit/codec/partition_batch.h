// Searches of all of Flat through TileSearch, for codecs that give TileQueries.
#pragma once

#include "annkit/codec/codec.h"
#include "annkit/codec/tile_search.h"

namespace annkit {

class PartitionBatch final : public BatchScorer {
  public:
    PartitionBatch(std::unique_ptr<TileQueries> queries, const Codes& codes);
    std::unique_ptr<BatchScan> start(const TopK& empty, int thread) const override;
    size_t step() const override { return 512; }

  private:
    friend class PartitionScan;
    std::unique_ptr<TileQueries> queries_;
    Partition partition_;
    Visit visit_;
    mutable Limits limits_;
    std::vector<TilePanel> panels_;
};

// One query against scattered rows, or runs of them.
class PartitionScorer final : public Scorer {
  public:
    PartitionScorer(const Codec& codec, Metric metric, const Codes& codes)
        : codec_(codec), metric_(metric), partition_{&codes} {}
    void query(const Rows& one) override { queries_ = codec_.tile_queries({metric_}, one, {1}); }
    void gather(const uint32_t* rows, size_t n, float* out) const override {
        queries_->score(0, partition_, 0, rows, n, out);
    }
    void scan(RowRange range, const Bitset* allowed, TopK& top) const override;

  private:
    const Codec& codec_;
    Metric metric_;
    Partition partition_;
    std::unique_ptr<TileQueries> queries_;
};

}  // namespace annkit
