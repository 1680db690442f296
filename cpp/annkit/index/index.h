// The interface of every index. Searches may run beside each other from any thread; a change waits until it is alone.
#pragma once

#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "annkit/core/fair_mutex.h"
#include "annkit/core/metric.h"
#include "annkit/core/part.h"
#include "annkit/index/members.h"

namespace annkit {

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

class Index : public Part {
  public:
    virtual size_t size() const = 0;
    virtual size_t dim() const = 0;  // 0 before the first rows
    virtual size_t nbytes() const = 0;
    virtual Metric metric() const = 0;
    virtual std::string repr() const = 0;  // the Python constructor call
    virtual Dtype query_type(
        Dtype given) const = 0;  // bits where uint8 means packed bits; TypeError where it never fits

    virtual void add(const Rows& rows, const Ids& ids, bool replace, const Call& call) = 0;
    // filters: none, one for all queries, or one a query. k > 0; fewer than k hits are padded.
    virtual void search(const Rows& queries, size_t k, const std::vector<Filter>& filters, const Call& call,
                        const Answer& out) const = 0;
    virtual RangeAnswer range_search(const Rows& queries, float radius, const std::vector<Filter>& filters,
                                     const Call& call) const = 0;
    virtual void remove(std::span<const int64_t> ids) = 0;
    virtual void compact() = 0;
    virtual Dtype decoded() const = 0;
    virtual void reconstruct(std::span<const int64_t> ids,
                             void* out) const = 0;  // rows of dim() elements, in decoded()
    virtual std::vector<int64_t> ids() const = 0;   // in the order of rows
    // save() refers to the index's memory: changes wait as long as this is held.
    virtual std::shared_lock<FairMutex> hold() const = 0;
};

}  // namespace annkit
