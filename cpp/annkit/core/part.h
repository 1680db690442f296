// Part: anything that is fitted, copied and stored.
#pragma once

#include <string_view>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

class Writer;

class Part {
  public:
    virtual ~Part() = default;
    virtual std::string_view kind() const = 0;
    virtual void fit(const Rows&, const Call&) {}  // parts that learn nothing have nothing to do
    virtual void save(Writer&) const = 0;
};

}  // namespace annkit
