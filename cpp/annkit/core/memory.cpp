#include "annkit/core/memory.h"

#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(_WIN32)
#include <malloc.h>
#endif

namespace annkit {
namespace {

constexpr size_t kLine = 64, kHugePage = size_t(2) << 20;

void* allocate_aligned(size_t alignment, size_t bytes) {
#if defined(_WIN32)
    return _aligned_malloc(bytes, alignment);
#else
    return std::aligned_alloc(alignment, bytes);
#endif
}

void advise_huge([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
    madvise(p, bytes, MADV_HUGEPAGE);  // a hint: where it is refused the memory still works
#endif
}

}  // namespace

void FreeAligned::operator()(std::byte* p) const noexcept {
#if defined(_WIN32)
    _aligned_free(p);
#else
    std::free(p);
#endif
}

Buffer allocate(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
    if (bytes > SIZE_MAX - alignment) throw std::bad_alloc();
    const size_t rounded = (bytes + (bytes == 0) + kLine - 1) / kLine * kLine;
    // aligned_alloc wants a multiple of the alignment; whole huge pages only where they are used
    const size_t size = alignment == kLine ? rounded : (rounded + kHugePage - 1) / kHugePage * kHugePage;
    auto* p = static_cast<std::byte*>(allocate_aligned(alignment, size));
    if (p == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) advise_huge(p, size);
    return Buffer(p);
}

}  // namespace annkit
