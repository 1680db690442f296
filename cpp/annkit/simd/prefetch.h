// A line of memory on its way into the caches. GCC 12 takes a function that does nothing but prefetch for one without
// effect and drops its calls; the empty statement is one.
#pragma once

namespace annkit::simd {
namespace {

inline void prefetch(const void* at) {
    __builtin_prefetch(at);
    asm volatile("");
}

}  // namespace
}  // namespace annkit::simd
