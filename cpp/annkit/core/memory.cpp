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

// A huge page at the end of which less is used than would be lost stays in small pages: where the kernel gives huge
// ones, all of it would count.
void advise([[maybe_unused]] std::byte* p, [[maybe_unused]] size_t bytes) {
#if defined(__linux__)
    constexpr size_t kLost = 32;  // a part of it may be
    const size_t rest = bytes % kHugePage, lost = rest > 0 ? kHugePage - rest : 0;
    const size_t huge = lost <= bytes / kLost ? bytes + lost : bytes - rest;
    madvise(p, huge, MADV_HUGEPAGE);  // hints: where they are refused the memory still works
    if (huge < bytes) madvise(p + huge, kHugePage, MADV_NOHUGEPAGE);
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
    // aligned_alloc wants a multiple of the alignment
    const size_t size = alignment == kLine ? rounded : (rounded + kHugePage - 1) / kHugePage * kHugePage;
    auto* p = static_cast<std::byte*>(allocate_aligned(alignment, size));
    if (p == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) advise(p, rounded);
    return Buffer(p);
}

}  // namespace annkit
