// How queries are answered from LSH tables: rows in the buckets that a query visits, the best of them by their
// sketches, and exact scores of those.
#pragma once

#include <memory>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/core/bitset.h"
#include "annkit/core/marks.h"
#include "annkit/core/pool.h"
#include "annkit/index/lsh_hash.h"
#include "annkit/index/lsh_probes.h"
#include "annkit/index/lsh_store.h"

namespace annkit {

struct LshSettings {
    size_t probes, candidates;
};

// One a thread.
class LshSearch {
  public:
    LshSearch(const LshHash& hash, const LshStore& store, Pool<Marks>& pool, const LshSettings& settings);
    ~LshSearch();
    LshSearch(const LshSearch&) = delete;
    LshSearch& operator=(const LshSearch&) = delete;

    // Every row within the bound goes into top, if that has no limit; values: the query's.
    void find(const float* values, const Scorer& scorer, const Bitset* allowed, TopK& top);

  private:
    void collect(const float* values, bool by_sketch);
    void visit(size_t table, uint32_t slot, bool by_sketch);
    void flush(bool by_sketch);
    void meet(uint32_t row, uint32_t distance);

    const LshHash& hash_;
    const LshStore& store_;
    Pool<Marks>& pool_;
    LshSettings settings_;
    LshProbes probes_;
    std::unique_ptr<Marks> marks_;  // null where no row can be met twice
    const Bitset* allowed_ = nullptr;

    std::vector<uint8_t> sketch_;  // of the query
    // Rows that were met, and not looked at so far, with the distances of their sketches.
    size_t waiting_ = 0;
    std::vector<uint32_t> rows_, near_;
    std::vector<float> distances_;
    // How many candidates lie at each distance; those at most bound_ away are enough.
    std::vector<size_t> at_;
    size_t bound_ = 0, within_ = 0;
    std::vector<std::pair<uint32_t, uint32_t>> met_;  // row, distance
    std::vector<uint32_t> found_;
    std::vector<float> scores_;
};

}  // namespace annkit
