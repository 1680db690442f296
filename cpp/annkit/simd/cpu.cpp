// Processor detection. A level counts only when the operating system also saves its registers (XGETBV): a hypervisor
// or kernel that masks them would otherwise kill the process with an illegal instruction.
#include "annkit/simd/cpu.h"

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#elif defined(__x86_64__)
#include <cpuid.h>
#endif

namespace annkit::simd {
namespace {

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
    uint32_t a = 0, b = 0, c = 0, d = 0;
};

#if defined(_MSC_VER)
Registers cpuid(uint32_t leaf) {
    int out[4];
    __cpuidex(out, int(leaf), 0);
    return {uint32_t(out[0]), uint32_t(out[1]), uint32_t(out[2]), uint32_t(out[3])};
}
uint64_t saved_states() { return _xgetbv(0); }
#else
Registers cpuid(uint32_t leaf) {
    Registers r;
    __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d);
    return r;
}
uint64_t saved_states() {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t(high) << 32) | low;
}
#endif

constexpr uint32_t bit(int n) { return uint32_t(1) << n; }
constexpr bool all(uint32_t have, uint32_t wanted) { return (have & wanted) == wanted; }

Level highest() {
    constexpr uint32_t kFma = bit(12), kPopcnt = bit(23), kOsxsave = bit(27), kAvx = bit(28), kF16c = bit(29);
    constexpr uint32_t kBmi1 = bit(3), kAvx2 = bit(5), kBmi2 = bit(8);
    constexpr uint32_t kF = bit(16), kDq = bit(17), kBw = bit(30), kVl = bit(31);
    constexpr uint32_t kVbmi = bit(1), kVbmi2 = bit(6), kVnni = bit(11), kBitalg = bit(12), kVpopcntdq = bit(14);
    constexpr uint64_t kYmmState = 0x06, kZmmState = 0xe6;

    const Registers basic = cpuid(1), extended = cpuid(7);
    if (!all(basic.c, kFma | kPopcnt | kOsxsave | kAvx | kF16c)) return Level::scalar;
    const uint64_t states = saved_states();
    if ((states & kYmmState) != kYmmState || !all(extended.b, kBmi1 | kAvx2 | kBmi2)) return Level::scalar;
    const bool avx512 = all(extended.b, kF | kDq | kBw | kVl) &&
                        all(extended.c, kVbmi | kVbmi2 | kVnni | kBitalg | kVpopcntdq) &&
                        (states & kZmmState) == kZmmState;
    return avx512 ? Level::avx512 : Level::avx2;
}

#elif defined(__aarch64__) || defined(_M_ARM64)
Level highest() { return Level::neon; }  // NEON is part of the architecture
#else
Level highest() { return Level::scalar; }
#endif

}  // namespace

bool cpu_has(Level level) {
    static const Level best = highest();
    if (level == Level::scalar || level == best) return true;
    return level == Level::avx2 && best == Level::avx512;
}

}  // namespace annkit::simd
