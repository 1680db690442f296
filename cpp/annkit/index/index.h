// The interface of every index. Searches may run beside each other from any thread; a change waits until it is alone.
#pragma once

#include <functional>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "annkit/core/fair_mutex.h"
#include "annkit/core/function_ref.h"
#include "annkit/core/metric.h"
#include "annkit/core/part.h"
#include "annkit/index/members.h"

namespace annkit {

class Codec;
class Hnsw;
struct Hit;

// Where a search writes: k entries a query. counts takes the place of distances for Hamming.
struct Answer {
    float* distances;
    int32_t* counts;
    int64_t* ids;
};
struct RangeAnswer {  // hits of query i lie from lims[i] to lims[i + 1]
    std::vector<int64_t> lims;
    std::vector<float> distances;
    std::vector<int64_t> ids;
};

// What a search may be told besides k; 0: the default. A wrapper hands on what its parts know.
struct Settings {
    size_t nprobe = 0;       // lists that a query visits, of IVF
    size_t ef = 0;           // nodes that a walk keeps, of HNSW
    double gamma = -1;       // a walk ends beyond 1 + gamma times the distance of the k-th best; below 0: it does not
    double spread = 0;       // lists farther than this many times the nearest one's distance are left out, of IVF
    double k_factor = 0;     // candidates a hit, of Refine
    size_t probes = 0;       // buckets that a query visits in each table, of LSH tables
    size_t candidates = 0;   // rows that get exact scores, of those in the buckets: the best by their sketches
    bool estimates = false;  // the caller scores what is found anew: estimates of scores will do
};

inline constexpr std::string_view kSettings[] = {"nprobe", "spread", "ef", "gamma", "k_factor", "probes", "candidates"};

// Told of a query's hits before they are written: whoever needs more of these rows may fetch it.
using OnHits = FunctionRef<void(std::span<const Hit> hits)>;

struct Request {
    const std::vector<Filter>& filters;  // none, one for all queries, or one a query
    Settings settings;
    Call call;
    const OnHits* on_hits = nullptr;  // null: nobody
};

struct MemoryEntry {
    std::string name;
    size_t bytes;
};

class Index : public Part {
  public:
    virtual bool is_fitted() const = 0;  // also true where there is nothing to learn
    virtual bool takes(std::string_view) const { return false; }
    virtual const Hnsw* graph() const { return nullptr; }  // the index, or what it is put around, if that is one
    virtual size_t size() const = 0;
    virtual size_t dim() const = 0;                       // 0 before the first rows
    virtual std::vector<MemoryEntry> memory() const = 0;  // where the bytes are
    size_t nbytes() const;
    virtual std::unique_ptr<Codec> codec_copy() const;  // with what it has learned; ValueError where there are several
    virtual Metric metric() const = 0;
    // Both of an index that is held.
    virtual std::string repr() const = 0;  // the Python constructor call
    virtual std::string factory() const;   // what annkit.index() makes one like it from; ValueError where nothing does
    virtual Dtype query_type(
        Dtype given) const = 0;  // bits where uint8 means packed bits; TypeError where it never fits

    virtual void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) = 0;
    // Makes room for so many rows in all; ValueError where an index cannot know where they go.
    virtual void reserve(size_t rows);
    // Takes out what is added from now on, as if it had never come (ids included): for adding in several steps. Good
    // for rows that replace none, and until something is removed. Empty where rows had better be added in one step.
    using Undo = std::function<void()>;
    virtual Undo undo() { return {}; }
    // k > 0; fewer than k hits are padded.
    virtual void search(const Rows& queries, size_t k, const Request& request, const Answer& out) const = 0;
    virtual RangeAnswer range_search(const Rows& queries, float radius, const Request& request) const = 0;
    virtual void remove(std::span<const int64_t> ids, const Call& call) = 0;
    virtual void compact(const Call& call) = 0;
    virtual Dtype decoded() const = 0;
    virtual void reconstruct(std::span<const int64_t> ids,
                             void* out) const = 0;  // rows of dim() elements, in decoded()
    virtual std::vector<int64_t> ids() const = 0;   // in the order of rows
    // save() refers to the index's memory: changes wait as long as this is held.
    using Held = std::vector<std::shared_lock<FairMutex>>;
    virtual Held hold() const = 0;
    // The less: as long as this is held, nothing is written that searches read, or repr().
    virtual Held hold_for_reading() const = 0;
    std::unique_ptr<Index> clone() const;  // by what save() writes
};

}  // namespace annkit
