// From hits of rows to what the caller sees: ids and distances in the metric's own terms.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "annkit/core/top_k.h"
#include "annkit/index/index.h"

namespace annkit {

// Writes one query's k entries, padded where there are fewer hits. unit: scores are those of unit rows (InnerRows).
void write_answer(const Answer& out, size_t query, size_t k, std::span<const Hit> hits, const Members& members,
                  Metric metric, bool unit = false);

// How an index of rows answers: what is left to the index is to run the queries, each collecting into a copy of empty.
struct Answering {
    const Members& members;
    Metric metric;
    bool unit;
    TieOrder order;

    using Take = std::function<void(size_t query, std::span<const Hit> hits)>;
    using Run = std::function<void(const TopK& empty, const Take& take)>;
    void nearest(size_t queries, size_t k, const Answer& out, const Run& run) const;
    RangeAnswer within(size_t queries, float radius, const Run& run) const;
};

// How many rows a query's filter lets through, as sets that live as long as this.
class FilterSets {
  public:
    FilterSets(const std::vector<Filter>& filters, const Members& members);
    const std::vector<const Bitset*>& sets() const { return allowed_; }  // none, one, or one a query

  private:
    std::vector<Bitset> made_;
    std::vector<const Bitset*> allowed_;
};

void check_queries(const Rows& queries, size_t dim, const std::vector<Filter>& filters);

}  // namespace annkit
