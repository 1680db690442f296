// Chooses a table of kernels once, and hands out each level's own for tests and benches.
#include <array>
#include <cstdlib>
#include <string_view>

#include "annkit/core/errors.h"
#include "annkit/simd/cpu.h"
#include "annkit/simd/kernels.h"

namespace annkit::simd {
namespace {

struct Rung {
    Level level;
    const char* name;
    void (*fill)(Kernels&);
    bool tested;  // its tests have run on real hardware; otherwise it is used only where ANNKIT_SIMD asks for it
};

// Lowest first; each rung is filled on top of those below it. CONTRIBUTING tells how to add one.
constexpr Rung kRungs[] = {
    {Level::scalar, "scalar", fill_scalar, true},
#if defined(__aarch64__) || defined(_M_ARM64)
    {Level::neon, "neon", fill_neon, false},
#endif
#if defined(__x86_64__) || defined(_M_X64)
    {Level::avx2, "avx2", fill_avx2, true},
    {Level::avx512, "avx512", fill_avx512, true},
#endif
};

Kernels table(Level level) {
    Kernels kernels{};
    for (const Rung& rung : kRungs) {
        rung.fill(kernels);
        kernels.level = rung.level;
        if (rung.level == level) break;
    }
    return kernels;
}

Level chosen() {
    const char* cap = std::getenv("ANNKIT_SIMD");
    const std::string_view wanted = cap == nullptr ? "" : cap;
    Level best = Level::scalar;
    bool known = wanted.empty();
    for (const Rung& rung : kRungs) {
        const bool named = wanted == rung.name;
        known = known || named;
        if (cpu_has(rung.level) && (rung.tested || named)) best = rung.level;
        if (named) break;
    }
    check(known, "ANNKIT_SIMD is \"", wanted, "\", expected one of scalar, avx2, avx512 (x86-64), neon (aarch64)");
    return best;
}

}  // namespace

const Kernels& kernels() {
    static const Kernels best = table(chosen());
    return best;
}

const Kernels* kernels_at(Level level) {
    static const std::array<Kernels, 4> tables = [] {
        std::array<Kernels, 4> all{};
        for (const Rung& rung : kRungs)
            if (cpu_has(rung.level)) all[size_t(rung.level)] = table(rung.level);
        return all;
    }();
    for (const Rung& rung : kRungs)
        if (rung.level == level && cpu_has(level)) return &tables[size_t(level)];
    return nullptr;
}

const char* name(Level level) {
    for (const Rung& rung : kRungs)
        if (rung.level == level) return rung.name;
    return "unknown";
}

}  // namespace annkit::simd
