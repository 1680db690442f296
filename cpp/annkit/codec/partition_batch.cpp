#include "annkit/codec/partition_batch.h"

#include <algorithm>
#include <numeric>

namespace annkit {

class PartitionScan final : public BatchScan {
  public:
    PartitionScan(const PartitionBatch& batch, const TopK& empty)
        : batch_(batch), search_(*batch.queries_, {&batch.visit_, 1}, {}, empty, batch.limits_) {}

    // Rows that are let through are few on their own: the filter is asked where a row is near enough.
    void scan(RowRange range, const Bitset* allowed) override {
        search_.allow(allowed);
        for (const TilePanel& panel : batch_.panels_) search_.scan(panel, range, &panel == &batch_.panels_.front());
    }
    TopK& result(size_t query) override { return search_.result(query); }

  private:
    const PartitionBatch& batch_;
    TileSearch search_;
};

PartitionBatch::PartitionBatch(std::unique_ptr<TileQueries> queries, const Codes& codes)
    : queries_(std::move(queries)), partition_{&codes}, visit_{&partition_, 0}, limits_(queries_->size()) {
    std::vector<uint32_t> numbers(queries_->size()), visits(queries_->size());
    std::iota(numbers.begin(), numbers.end(), 0u);
    const TileSearch packer(*queries_, {&visit_, 1}, {}, TopK(1, {}), limits_);
    for (size_t first = 0; first < numbers.size(); first += panels_.back().n) {
        panels_.emplace_back();
        packer.choose(std::span(numbers).subspan(first), std::span(visits).subspan(first), panels_.back());
        packer.pack(panels_.back());
    }
}

std::unique_ptr<BatchScan> PartitionBatch::start(const TopK& empty, int) const {
    return std::make_unique<PartitionScan>(*this, empty);
}

void PartitionScorer::scan(RowRange range, const Bitset* allowed, TopK& top) const {
    constexpr size_t kBlock = 256;
    uint32_t rows[kBlock];
    float scores[kBlock];
    for (uint32_t row = range.first; row < range.last;) {
        size_t n = 0;
        for (; n < kBlock && row < range.last; ++row)
            if (allowed == nullptr || allowed->test(row)) rows[n++] = row;
        gather(rows, n, scores);
        for (size_t i = 0; i < n; ++i)
            if (scores[i] <= top.bound()) top.push(scores[i], rows[i]);
    }
}

}  // namespace annkit
