// What constructors of indexes take.
#pragma once

#include "annkit/codec/codec.h"
#include "arrays.h"

namespace annkit::bindings {

const Codec& codec_from(const py::object& codec);  // None: Raw("f32")

}  // namespace annkit::bindings
