// What the bindings of kernels share.
#pragma once

#include <vector>

#include "annkit/simd/kernels.h"
#include "arrays.h"

namespace annkit::bindings {

using Bytes = py::array_t<uint8_t, py::array::c_style>;  // rows as bytes, whatever their type
using Floats = py::array_t<float, py::array::c_style>;

const simd::Kernels& table(std::string_view level);
std::vector<const void*> pointers(const Bytes& rows);

void bind_code_kernels(py::module_& k);

}  // namespace annkit::bindings
