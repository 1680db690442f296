// All pairs of codes within a Hamming radius. Codes that differ in at most r bits agree in all but r of any blocks that
// their bits are shared out among: sorted by the other blocks, for every choice of r, such codes meet (Manku, Jain,
// Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007, section 3).
#pragma once

#include <cstdint>
#include <functional>

#include "annkit/codec/codes.h"
#include "annkit/core/parallel.h"

namespace annkit {

struct HammingPairs {  // in the order of i, then of j; i < j
    int64_t *i, *j;
    int32_t* distances;
};

// room: where so many pairs go; asked for once, by the calling thread.
using PairsRoom = std::function<HammingPairs(size_t pairs)>;
void hamming_pairs(const Codes& codes, size_t bits, size_t radius, const Call& call, const PairsRoom& room);

}  // namespace annkit
