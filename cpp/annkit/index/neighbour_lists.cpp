#include "annkit/index/neighbour_lists.h"

#include <algorithm>
#include <bit>

namespace annkit {

FoundPairs::FoundPairs(size_t codes) : shift_(unsigned(std::clamp<int>(int(std::bit_width(codes)) - 10, 6, 20))) {
    stretches_.resize((codes + stretch_codes() - 1) >> shift_);
}

size_t FoundPairs::size(size_t stretch) const {
    const Stretch& own = stretches_[stretch];
    return own.pieces.empty() ? 0 : (own.pieces.size() - 1) * kPiece + own.used;
}

void FoundPairs::grow(Stretch& own) {
    own.pieces.push_back(std::make_unique_for_overwrite<Entry[]>(kPiece));
    own.used = 0;
}

NeighbourLists::NeighbourLists(std::vector<FoundPairs>& found, size_t codes, int threads, const Call& call)
    : starts_(codes + 1) {
    std::vector<uint64_t> starts(found[0].stretches() + 1);
    for (size_t s = 0; s + 1 < starts.size(); ++s) {
        starts[s + 1] = starts[s];
        for (const FoundPairs& own : found) starts[s + 1] += own.size(s);
    }
    memory_ = allocate(starts.back() * sizeof(Neighbour));
    lists_ = reinterpret_cast<Neighbour*>(memory_.get());
    parallel_for(starts.size() - 1, threads, call, [&](size_t s, int) { fill(found, s, starts[s]); });
    starts_.back() = starts.back();
}

void NeighbourLists::fill(std::vector<FoundPairs>& found, size_t stretch, uint64_t start) {
    const size_t first = stretch * found[0].stretch_codes();
    const size_t n = std::min(found[0].stretch_codes(), starts_.size() - 1 - first);
    std::vector<uint64_t> next(n + 1, 0);
    for (const FoundPairs& own : found)
        own.each(stretch, [&](const FoundPairs::Entry& entry) { ++next[entry.at + 1]; });
    next[0] = start;
    for (size_t i = 0; i < n; ++i) {
        next[i + 1] += next[i];
        starts_[first + i] = next[i];
    }
    for (FoundPairs& own : found) {
        own.each(stretch,
                 [&](const FoundPairs::Entry& entry) { lists_[next[entry.at]++] = {entry.neighbour, entry.distance}; });
        own.release(stretch);
    }
}

}  // namespace annkit
