// A family of locality-sensitive hash functions: which bucket of a table a row falls into, and which buckets lie beside
// it. Families see what the functions' directions made of a row, with offsets and scales applied: see LshHash.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace annkit {

// One change of a bucket's key: part of it becomes something else. Keys add up, with wrap-around.
struct LshStep {
    float cost;  // squared distance to where the function's value changes; the smaller, the likelier
    uint32_t part;
    uint64_t change;
};

class LshFamily {
  public:
    virtual ~LshFamily() = default;
    virtual size_t values() const = 0;  // that the directions of a table give for a row
    virtual size_t parts() const = 0;   // hash functions that make up a key, at most kMostLshParts
    virtual uint64_t key(const float* y) const = 0;
    // The key, and every step of a part from it.
    virtual uint64_t steps(const float* y, std::vector<LshStep>& out) const = 0;
    virtual uint32_t slot(uint64_t key) const = 0;  // of the table
    virtual bool one_key_a_slot() const = 0;
};

inline constexpr size_t kMostLshBits = 24, kMostLshParts = 32;
enum class LshKind : uint8_t { hyperplane, p_stable, cross_polytope };
LshKind lsh_kind_from(std::string_view name);  // ValueError lists the names
std::string_view name(LshKind kind);

// Of tables of 2^bits slots for rows of dim dimensions.
std::unique_ptr<LshFamily> make_lsh_family(LshKind kind, size_t bits, size_t dim);

}  // namespace annkit
