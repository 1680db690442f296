#include "annkit/index/lsh_probes.h"

#include <algorithm>
#include <limits>

namespace annkit {

// Adds every set that has one more step, from that number on, and what can be added to those. False where there are too
// many. A step of a part that has one already leads nowhere.
bool LshProbes::extend(const Probe& set, uint32_t parts, size_t from) {
    for (size_t i = from; i < steps_.size(); ++i) {
        const LshStep& step = steps_[i];
        const Probe one{set.cost + step.cost, set.key + step.change};
        if (one.cost > bound_) return true;
        if (parts >> step.part & 1U) continue;
        if (probes_.size() == most_) return false;
        probes_.push_back(one);
        if (!extend(one, parts | 1U << step.part, i + 1)) return false;
    }
    return true;
}

bool LshProbes::list(float bound, uint64_t key) {
    probes_.clear();
    bound_ = bound;
    return extend({0, key}, 0, 0);
}

// All sets up to some cost, at least so many and not many more; so what is found depends on neither the bound it began
// with nor the order in which sets are listed.
void LshProbes::list_about(size_t wanted, uint64_t key) {
    most_ = 2 * wanted + 16;
    float low = 0, high = std::numeric_limits<float>::infinity(), all = 0;
    for (const LshStep& step : steps_) all += step.cost;
    const float unit = steps_[std::min(steps_.size() - 1, family_.parts())].cost;
    float bound = std::min(hint_ * unit, all);
    for (;;) {
        const bool whole = list(bound, key);
        if (whole && (probes_.size() >= wanted || bound >= all)) break;
        (whole ? low : high) = bound;
        if (high <= all)
            bound = low + (high - low) / 2;
        else
            bound = std::min(bound > 0 ? 1.5F * bound : unit, all);
        if (bound == low || bound == high) return list_crowd(low, high, key);
    }
    if (unit > 0) hint_ = std::clamp(bound / unit, 1e-3F, 1e3F);
}

// Very many sets of one cost, low and high being next to each other: those below it, and some of them.
void LshProbes::list_crowd(float low, float high, uint64_t key) {
    list(high, key);
    const std::vector<Probe> crowd = probes_;
    if (!list(low, key)) return;  // a cost of nothing
    for (const Probe& probe : crowd)
        if (probe.cost > low) probes_.push_back(probe);
}

const std::vector<uint32_t>& LshProbes::find(const float* y, size_t wanted) {
    slots_.clear();
    const uint64_t key = wanted > 1 ? family_.steps(y, steps_) : family_.key(y);
    slots_.push_back(family_.slot(key));
    if (wanted == 1) return slots_;
    std::sort(steps_.begin(), steps_.end(), [](const LshStep& a, const LshStep& b) {
        return a.cost != b.cost ? a.cost < b.cost : a.part != b.part ? a.part < b.part : a.change < b.change;
    });
    list_about(wanted - 1, key);
    const auto nearer = [](const Probe& a, const Probe& b) {
        return a.cost != b.cost ? a.cost < b.cost : a.key < b.key;
    };
    if (probes_.size() > wanted - 1) {
        std::nth_element(probes_.begin(), probes_.begin() + ptrdiff_t(wanted - 1), probes_.end(), nearer);
        probes_.resize(wanted - 1);
    }
    for (const Probe& probe : probes_) slots_.push_back(family_.slot(probe.key));
    return slots_;
}

}  // namespace annkit
