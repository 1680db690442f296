// Results as Python sees them: SearchResult and RangeResult, tuples with named fields.
#pragma once

#include "annkit/index/index.h"
#include "arrays.h"

namespace annkit::bindings {

// The arrays of a search, and where the core writes.
class SearchArrays {
  public:
    SearchArrays(Metric metric, size_t queries, size_t k);
    py::object result();  // once
    Answer answer;

  private:
    py::array distances_;
    py::array_t<int64_t> ids_;
};

py::object range_result(Metric metric, const RangeAnswer& answer);
py::object pairs_result(const py::array& lims, const py::array& distances, const py::array& j);

}  // namespace annkit::bindings
