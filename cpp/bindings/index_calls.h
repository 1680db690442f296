// What every index can do: the calls of the base class.
#pragma once

#include "annkit/index/index.h"
#include "arrays.h"

namespace annkit::bindings {

// Rows as the index takes them: uint8 is packed bits where it wants these.
Input input_for(const Index& index, py::handle given, std::string_view what);
py::dict stats(const Index& index);  // of its graph; ValueError where there is none

void bind_index_calls(py::module_& m, py::class_<Index>& base);

}  // namespace annkit::bindings
