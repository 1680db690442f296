#include "annkit/index/lsh_family.h"

#include "annkit/core/errors.h"
#include "annkit/core/spelling.h"
#include "annkit/index/lsh_cross_polytope.h"
#include "annkit/index/lsh_hyperplane.h"
#include "annkit/index/lsh_p_stable.h"

namespace annkit {
namespace {
constexpr std::string_view kNames[] = {"hyperplane", "p-stable", "cross-polytope"};
}

LshKind lsh_kind_from(std::string_view wanted) {
    for (uint8_t i = 0; i < std::size(kNames); ++i)
        if (kNames[i] == wanted) return LshKind(i);
    fail("family is \"", wanted, "\", expected one of \"hyperplane\", \"p-stable\", \"cross-polytope\"",
         did_you_mean(wanted, kNames));
}

std::string_view name(LshKind kind) { return kNames[size_t(kind)]; }

std::unique_ptr<LshFamily> make_lsh_family(LshKind kind, size_t bits, size_t dim) {
    switch (kind) {
        case LshKind::p_stable:
            return std::make_unique<PStableFamily>(bits);
        case LshKind::cross_polytope:
            return std::make_unique<CrossPolytopeFamily>(bits, dim);
        default:
            return std::make_unique<HyperplaneFamily>(bits);
    }
}

}  // namespace annkit
