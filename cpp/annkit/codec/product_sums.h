// Sums of the table entries that codes of PQ name: canonical scores, in an order that m and the bits alone decide.
#pragma once

#include <cstddef>
#include <cstdint>

namespace annkit {

struct Codes;

// table: for each group (an even number of them for codes that lie in blocks) 2^bits floats.
void sum_entries(size_t m, size_t bits, const float* table, const Codes& codes, const uint32_t* positions, size_t n,
                 float* out);

}  // namespace annkit
