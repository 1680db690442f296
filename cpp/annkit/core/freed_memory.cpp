#include "annkit/core/freed_memory.h"

#include <cstdlib>

namespace annkit {

void keep_freed_memory() {
#if defined(__GLIBC__)
    constexpr size_t kMost = size_t(31) << 20;  // larger ones teach it nothing: see M_MMAP_THRESHOLD in mallopt(3)
    void* volatile piece = std::malloc(kMost);
    std::free(piece);
#endif
}

}  // namespace annkit
