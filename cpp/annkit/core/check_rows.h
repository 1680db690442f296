// Whether rows can be learned from: parts that look at a sample alone, or at none, are no excuse for a NaN.
#pragma once

#include <string_view>

#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"

namespace annkit {

// Throws as FloatBlock does, whichever row it is. Reads them once, as fast as memory gives them.
void check_rows(const Rows& rows, std::string_view what, const Call& call);
void check_rows(const Rows& rows, std::string_view what);  // by this thread

}  // namespace annkit
