// Exhaustive search: every stored row against every query, shared among threads by rows.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/core/parallel.h"

namespace annkit {

struct ExhaustiveSearch {
    const Codec& codec;
    Metric metric;
    const Codes& codes;
    size_t dim;
    TopK empty;  // what each query collects into

    // Which rows each query may find: none for all, one for all queries, or one a query.
    std::vector<const Bitset*> allowed;

    // Gives each query's hits, nearest first; called from several threads, once a query.
    using Take = FunctionRef<void(size_t query, std::span<const Hit> hits)>;
    void run(const Rows& queries, const Call& call, Take take) const;

  private:
    using Worker = std::unique_ptr<BatchScan>;
    bool worth_copying(size_t queries) const;
    bool shares_queries(size_t queries, size_t share) const;
    void run_copy(const Rows& queries, const Call& call, Take take) const;
    void run_block(const Rows& queries, size_t first_query, const Call& call, Take take) const;
    size_t queries_a_block() const;
};

}  // namespace annkit
