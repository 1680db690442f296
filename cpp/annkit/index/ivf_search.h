// Searches of IVF: the queries of a batch are grouped by the lists they visit, so that a list is read once for all of
// them. Each query's nearest list comes first: what it finds there bounds what the others have to report.
#pragma once

#include <span>

#include "annkit/codec/tile_search.h"
#include "annkit/core/parallel.h"
#include "annkit/index/coarse.h"
#include "annkit/index/lists.h"

namespace annkit {

struct ListSearch {
    const Codec& codec;
    CodeUse use;
    const Coarse& coarse;
    const Lists& lists;
    size_t rows;  // of all lists
    TopK empty;   // what each query collects into
    Allowed allowed;
    size_t nprobe;
    bool estimates;  // of scores will do
    double spread;   // 0: all nprobe lists; otherwise those within so many times the nearest one's distance

    using Take = FunctionRef<void(size_t query, std::span<const Hit> hits)>;
    void run(const Rows& queries, const Call& call, Take take) const;

  private:
    struct Batch;
    struct Groups;
    size_t queries_together(size_t dim) const;
    double code_bytes() const { return double(lists.partitions()[0].codes->code_bytes()); }
    double work_of_visit(double length) const;
    bool shares_queries(size_t share) const;  // of so many queries a thread
    Groups grouped(const Batch& batch, size_t first_rank, size_t last_rank) const;
    void run_block(const Rows& queries, size_t first_query, const Call& call, Take take) const;
    void find_lists(const Rows& queries, const Call& call, Batch& batch) const;
    void visit(Batch& batch, size_t first_rank, size_t last_rank, const Call& call) const;
};

}  // namespace annkit
