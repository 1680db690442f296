// From hits of rows to what the caller sees: ids and distances in the metric's own terms.
#pragma once

#include <span>
#include <vector>

#include "annkit/index/index.h"

namespace annkit {

// Writes one query's k entries, padded where there are fewer hits. unit: scores are those of unit rows (InnerRows).
void write_answer(const Answer& out, size_t query, size_t k, std::span<const Hit> hits, const Members& members,
                  Metric metric, bool unit = false);
RangeAnswer range_answer(const std::vector<std::vector<Hit>>& found, const Members& members, Metric metric,
                         bool unit = false);

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
