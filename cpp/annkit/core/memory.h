// Memory for large arrays: aligned, on huge pages where that pays, never initialised.
#pragma once

#include <cstddef>
#include <memory>

namespace annkit {

struct FreeAligned {
    void operator()(std::byte*) const noexcept;
};
using Buffer = std::unique_ptr<std::byte[], FreeAligned>;

// 64-byte aligned; from 2 MB on, aligned to 2 MB and advised to use huge pages. Throws std::bad_alloc.
Buffer allocate(size_t bytes);

}  // namespace annkit
