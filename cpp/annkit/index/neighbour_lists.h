// Pairs of near codes as threads find them, and what becomes of them: each code's list of neighbours.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "annkit/core/memory.h"
#include "annkit/core/parallel.h"

namespace annkit {

struct Neighbour {
    uint32_t code, distance;
};

// Of one thread. Apart for every stretch of codes, so that a stretch's lists are made in a cache, by one thread.
class FoundPairs {
  public:
    struct Entry {
        uint32_t neighbour, at : 20, distance : 12;  // at: which code of the stretch
    };
    explicit FoundPairs(size_t codes);

    void push(uint32_t code, uint32_t neighbour, uint32_t distance) {
        Stretch& own = stretches_[code >> shift_];
        if (own.used == kPiece || own.pieces.empty()) grow(own);
        own.pieces.back()[own.used++] = {neighbour, code & ((1u << shift_) - 1), distance & 0xfffu};
    }
    size_t stretches() const { return stretches_.size(); }
    size_t stretch_codes() const { return size_t(1) << shift_; }
    size_t size(size_t stretch) const;
    template <class Act>
    void each(size_t stretch, Act&& act) const {
        const Stretch& own = stretches_[stretch];
        for (const auto& piece : own.pieces)
            for (size_t i = 0; i < (&piece == &own.pieces.back() ? own.used : kPiece); ++i) act(piece[i]);
    }
    void release(size_t stretch) { stretches_[stretch] = {}; }

  private:
    static constexpr size_t kPiece = 512;
    struct Stretch {
        std::vector<std::unique_ptr<Entry[]>> pieces;
        size_t used = 0;  // of the last piece
    };
    static void grow(Stretch& own);

    unsigned shift_;
    std::vector<Stretch> stretches_;
};

class NeighbourLists {
  public:
    // Takes what was found.
    NeighbourLists(std::vector<FoundPairs>& found, size_t codes, int threads, const Call& call);
    // In no order.
    std::span<const Neighbour> of(size_t code) const {
        return {lists_ + starts_[code], size_t(starts_[code + 1] - starts_[code])};
    }

  private:
    void fill(std::vector<FoundPairs>& found, size_t stretch, uint64_t start);

    std::vector<uint64_t> starts_;
    Buffer memory_;
    Neighbour* lists_ = nullptr;
};

}  // namespace annkit
