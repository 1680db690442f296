// Memory that runs out when a test says so: replaces operator new, and the aligned_alloc of core/memory. Of one
// program.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace failing {

// Which allocation fails, counted from one: that one alone, or all from it on. 0: none.
inline std::atomic<int64_t> first{0}, seen{0};
inline std::atomic<bool> lasting{false}, refused{false};

inline bool refuse() {
    if (first == 0) return false;
    const int64_t number = ++seen;
    if (lasting ? number < first : number != first) return false;
    return refused = true;
}

inline void* taken(size_t bytes, size_t alignment = 0) {
    if (refuse()) return nullptr;
    if (alignment <= alignof(std::max_align_t)) return std::malloc(std::max<size_t>(bytes, 1));
    void* p = nullptr;
    return posix_memalign(&p, alignment, bytes) == 0 ? p : nullptr;
}

inline void* taken_or_throw(size_t bytes, size_t alignment = 0) {
    if (void* p = taken(bytes, alignment)) return p;
    throw std::bad_alloc();
}

// Whether call threw bad_alloc, with allocation number n failing; any other error propagates.
template <class Call>
bool throws(int64_t n, bool all_from_there, const Call& call) {
    seen = 0, refused = false, lasting = all_from_there, first = n;
    try {
        call();
        first = 0;
        return false;
    } catch (const std::bad_alloc&) {
        first = 0;
        return true;
    } catch (...) {
        first = 0;
        throw;
    }
}

}  // namespace failing

void* operator new(size_t n) { return failing::taken_or_throw(n); }
void* operator new[](size_t n) { return failing::taken_or_throw(n); }
void* operator new(size_t n, std::align_val_t a) { return failing::taken_or_throw(n, size_t(a)); }
void* operator new[](size_t n, std::align_val_t a) { return failing::taken_or_throw(n, size_t(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return failing::taken(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return failing::taken(n); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }
extern "C" void* aligned_alloc(size_t alignment, size_t n) noexcept { return failing::taken(n, alignment); }
