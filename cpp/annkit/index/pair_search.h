// Pairs of different codes within a Hamming radius. Codes that differ in at most r bits agree in all but r of any
// blocks that their bits are shared out among: sorted by the other blocks, for every choice of r, such codes meet
// (Manku, Jain, Das Sarma, "Detecting near-duplicates for web crawling", WWW 2007, section 3).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "annkit/codec/codes.h"
#include "annkit/core/parallel.h"
#include "annkit/index/blocked_codes.h"
#include "annkit/index/grouped_keys.h"
#include "annkit/index/neighbour_lists.h"
#include "annkit/simd/kernels.h"

namespace annkit {

class PairSearch {
  public:
    // The later codes that are near to one, or some of them; no pair twice. Any thread calls it.
    using Report = std::function<void(uint32_t code, std::span<const Neighbour> later, int thread)>;

    // No two codes are equal.
    PairSearch(const Codes& codes, size_t bits, size_t radius, const Call& call)
        : codes_(codes), bits_(bits), radius_(radius), call_(call) {}
    void run(const Report& report);

  private:
    struct Asking;  // a thread's scratch

    size_t choose() const;
    void search(const BlockedCodes& blocks, uint32_t set, const Call& call, const Report& report);
    std::span<const Neighbour> ask(const BlockedCodes& blocks, uint32_t set, size_t at, simd::WordRun run,
                                   Asking& own) const;
    void scan(const Report& report) const;

    const Codes& codes_;
    size_t bits_, radius_;
    Call call_;
    GroupedKeys groups_;
    std::vector<uint32_t> sketches_;  // in the order of the entries
};

}  // namespace annkit
