// What every codec can do on its own: fit, encode, decode, and become bytes.
#pragma once

#include <pybind11/pybind11.h>

#include "annkit/codec/codec.h"
#include "annkit/core/fair_mutex.h"

namespace annkit::bindings {

// fit takes it alone, what reads the codec shares it; never while holding the interpreter's lock.
FairMutex& lock_of(const Codec& codec);

void bind_codec_calls(pybind11::class_<Codec>& base);

}  // namespace annkit::bindings
