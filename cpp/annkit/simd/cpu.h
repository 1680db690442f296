// What this machine's processor and operating system allow.
#pragma once

#include "annkit/simd/kernels.h"

namespace annkit::simd {
bool cpu_has(Level level);
}
