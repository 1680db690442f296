// All pairs of codes within a Hamming radius. Codes that differ in at most r bits agree in all but r of any blocks that
// their bits are shared out among: sorted by the other blocks, for every choice of r, such codes meet (Manku, Jain,
// Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007, section 3).
#pragma once

#include <cstdint>
#include <functional>

#include "annkit/codec/codes.h"
#include "annkit/core/parallel.h"

namespace annkit {

// The pairs of code i: those with later codes j[lims[i]] to j[lims[i + 1]], in their order. Narrow, since what takes
// the time of many pairs is memory that is written for the first time.
struct HammingPairs {
    int64_t* lims;  // one more than codes
    int32_t* j;
    int16_t* distances;
};
constexpr size_t kMostPairedCodes = INT32_MAX;

// room: where so many pairs go; asked for once, by the calling thread.
using PairsRoom = std::function<HammingPairs(size_t pairs)>;
void hamming_pairs(const Codes& codes, size_t bits, size_t radius, const Call& call, const PairsRoom& room);

}  // namespace annkit
