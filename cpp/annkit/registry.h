#pragma once

namespace annkit {
void register_parts();  // before anything is loaded; again does nothing
}
