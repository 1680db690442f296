// The interfaces between codecs and indexes: rows become codes, and scorers score them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/codec/tile_queries.h"
#include "annkit/core/bitset.h"
#include "annkit/core/metric.h"
#include "annkit/core/parallel.h"
#include "annkit/core/part.h"
#include "annkit/core/rows.h"
#include "annkit/core/top_k.h"

namespace annkit {

// One query against stored rows. One a thread: it owns its scratch.
class Scorer {
  public:
    virtual ~Scorer() = default;
    virtual void query(const Rows& one) = 0;  // tables are built here
    // Canonical scores: the same for a row whatever the path that reaches it.
    virtual void gather(const uint32_t* rows, size_t n, float* out) const = 0;
    // The same of the k nearest of them, as far as they are within the bound. Others may get infinity instead.
    virtual void gather_nearest(size_t k, float bound, const uint32_t* rows, size_t n, float* out) const;
    // Pushes every row of the range that is allowed (null: all are) and within the bound.
    virtual void scan(RowRange range, const Bitset* allowed, TopK& top) const = 0;
};

// One thread's part of a batch.
class BatchScan {
  public:
    virtual ~BatchScan() = default;
    virtual void scan(RowRange range, const Bitset* allowed) = 0;
    // Once a query, when nothing is left to scan; different queries may be asked for by several threads at once.
    virtual TopK& result(size_t query) = 0;
};

// A batch of queries, prepared once and shared by the threads: the throughput door.
class BatchScorer {
  public:
    virtual ~BatchScorer() = default;
    // empty: what each query collects into, without a hit so far; thread: of those that the batch was made for.
    virtual std::unique_ptr<BatchScan> start(const TopK& empty, int thread) const = 0;
    virtual size_t step() const = 0;  // rows that it takes at a time: ranges are best a multiple of it
};

class WalkScorer;

class Codec : public Part {
  public:
    virtual std::unique_ptr<Codec> clone() const = 0;
    virtual std::string repr() const = 0;  // the Python constructor call
    // The word in a factory string. residual: what the codes in the lists of an IVF are of; none elsewhere. ValueError
    // where there is no such word.
    virtual std::string factory(std::optional<bool> residual) const;
    virtual bool accepts(Dtype input) const = 0;
    virtual std::string_view expects() const = 0;  // the accepted dtypes, for messages
    virtual Dtype decoded() const = 0;             // what decode gives
    virtual bool supports(Metric metric) const = 0;
    void check_supports(Metric metric) const;             // ValueError says which it does
    virtual bool scores_cosine() const { return false; }  // others get unit rows and the metric ip instead
    // Whether lists, graphs and tables scale rows to length one by this metric. Bytes stay as they are.
    bool wants_unit_rows(Metric metric) const { return metric == Metric::cosine && is_float(decoded()); }
    virtual bool learns() const { return false; }
    virtual bool is_fitted() const { return true; }   // also true of those that learn nothing
    virtual size_t fitted_dim() const { return 0; }   // 0: any
    virtual size_t nbytes() const { return 0; }       // of what it has learned
    virtual size_t rows_wanted() const { return 0; }  // fit takes fewer, and learns little from them
    virtual bool in_lists() const { return true; }    // false: not searched in the lists of IVF
    virtual bool takes_residuals() const { return false; }
    virtual bool prefers_residuals() const { return takes_residuals(); }
    virtual Codes make_codes(size_t dim, const CodeUse& use) const = 0;
    // Codes rows into the places from first on, which are reserved.
    // centroid: as in Partition; only where the codes are for residuals.
    virtual void encode(const Rows& rows, const float* centroid, Codes& into, size_t first) const = 0;
    // Gives back the row, or row - centroid where the codes are for residuals.
    virtual void decode(const Codes& codes, size_t row, size_t dim, void* out) const = 0;
    // The same of n rows from first on: one by one, where a codec has no faster way.
    virtual void decode_rows(const Codes& codes, size_t first, size_t n, size_t dim, void* out) const;
    size_t row_bytes(size_t dim) const { return decoded() == Dtype::bits ? dim / 8 : dim * element_size(decoded()); }
    // Queries for the tiles; null from codecs that are only searched as a whole (Certified).
    virtual std::unique_ptr<TileQueries> tile_queries(const CodeUse& use, const Rows& queries, const Call& call) const;
    // Of the tables that a query of dim dimensions is made ready as; 0 where that is about as much as the query.
    virtual size_t table_bytes(size_t) const { return 0; }
    virtual std::unique_ptr<Scorer> scorer(Metric metric, const Codes& codes, size_t dim) const;
    // What leads a walk through a graph over the codes.
    virtual std::unique_ptr<WalkScorer> walk_scorer(Metric metric, const Codes& codes, size_t dim) const;
    // For a search by call.threads threads. Null where one scorer a query is as fast.
    virtual std::unique_ptr<BatchScorer> batch_scorer(Metric metric, const Codes& codes, const Rows& queries,
                                                      const Call& call) const;
    // Whether the bounds of tiles are certain. Others count as scores where they are larger (Shortlist::decide), so
    // that what a tile finds has other scores than what gather() gives.
    virtual bool has_certain_bounds() const { return true; }
    // Whether a batch makes rows ready for its tiles: threads that share the queries would each do so for all rows.
    virtual bool prepares_rows() const { return false; }
};

}  // namespace annkit
