// Transforms as other calls take them.
#pragma once

#include <memory>

#include "annkit/transform/transform.h"

namespace annkit::bindings {

// As it is now, whatever thread fits it meanwhile.
std::unique_ptr<Transform> copy_of(const Transform& transform);

}  // namespace annkit::bindings
