// What calls of every index take.
#pragma once

#include "annkit/codec/codec.h"
#include "annkit/index/index.h"
#include "arrays.h"

namespace annkit::bindings {

// Rows as the index takes them: uint8 is packed bits where it wants these.
Input input_for(const Index& index, py::handle given, std::string_view what);
const Codec& codec_from(const py::object& codec);  // None: Raw("f32")

}  // namespace annkit::bindings
