// Which slots of a table a query visits: those with the least between them and its own, a sum of squared distances over
// the functions that differ (Lv et al. 2007, section 4.4). Instead of taking sets of steps from a heap one by one, all
// below a bound are listed, and the bound comes from the query before: a few nanoseconds a set.
#pragma once

#include <vector>

#include "annkit/index/lsh_family.h"

namespace annkit {

// One a thread.
class LshProbes {
  public:
    explicit LshProbes(const LshFamily& family) : family_(family) {}
    // So many slots, the query's own first; y: its values for the table. Valid until the next call.
    const std::vector<uint32_t>& find(const float* y, size_t wanted);

  private:
    struct Probe {
        float cost;
        uint64_t key;
    };
    bool list(float bound, uint64_t key);
    bool extend(const Probe& set, uint32_t parts, size_t from);
    void list_about(size_t wanted, uint64_t key);
    void list_crowd(float low, float high, uint64_t key);

    const LshFamily& family_;
    std::vector<LshStep> steps_;  // in rising order of cost
    std::vector<Probe> probes_;
    std::vector<uint32_t> slots_;
    size_t most_ = 0;
    float bound_ = 0;
    float hint_ = 1;  // the bound of the query before, in units of a step's cost
};

}  // namespace annkit
