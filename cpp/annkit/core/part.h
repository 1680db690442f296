// Part: anything that is fitted, copied and stored.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

class Writer;

// How a part learns: the same rows and seed give the same part, for any number of threads.
struct Fit {
    uint64_t seed = 0;
    Call call;
    std::span<const int64_t> labels = {};  // each row's class, for parts that learn from it; empty: none were given
};

class Part {
  public:
    virtual ~Part() = default;
    virtual std::string_view kind() const = 0;
    virtual void fit(const Rows&, const Fit&) {}  // parts that learn nothing have nothing to do
    virtual void save(Writer&) const = 0;
};

}  // namespace annkit
