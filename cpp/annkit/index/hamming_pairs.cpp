#include "annkit/index/hamming_pairs.h"

#include <algorithm>
#include <atomic>

#include "annkit/index/distinct_codes.h"
#include "annkit/index/near_rows.h"
#include "annkit/index/neighbour_lists.h"
#include "annkit/index/pair_search.h"

namespace annkit {
namespace {

constexpr double kWork = 1000;  // of a code, for the choice of threads

// Pairs of groups become pairs of their rows.
class Expansion {
  public:
    Expansion(const DistinctCodes& distinct, const NeighbourLists& lists, size_t n, int threads, const Call& call)
        : distinct_(distinct), lists_(lists), threads_(threads), later_(n), starts_(n + 1) {
        constexpr size_t kGroups = 1024;
        parallel_blocks(distinct.size(), kGroups, threads, call, [&](size_t first, size_t count) {
            for (size_t group = first; group < first + count; ++group) count_later(group);
        });
        for (size_t group = 0; group < distinct.size(); ++group) {
            const std::span<const uint32_t> rows = distinct.rows(group);
            for (size_t i = 0; i < rows.size(); ++i) starts_[rows[i] + 1] = later_[distinct.start(group) + i];
        }
        for (size_t i = 0; i < n; ++i) starts_[i + 1] += starts_[i];
    }
    size_t pairs() const { return starts_.back(); }

    // Threads begin far apart: two that write for the first time to one page both have the system clear one.
    void write(const HammingPairs& out, const Call& call) const {
        std::copy(starts_.begin(), starts_.end(), out.lims);
        const auto tasks = shared_out();
        std::vector<NearRows> near(size_t(threads_), NearRows(distinct_, lists_));
        std::vector<std::atomic<size_t>> next(static_cast<size_t>(threads_));
        const size_t n = tasks.size() - 1;
        const auto begin = [&](size_t part) { return part * n / next.size(); };
        parallel_for(n, threads_, call, [&](size_t, int thread) {
            for (size_t part = size_t(thread);; part = (part + 1) % next.size()) {
                const size_t task = begin(part) + next[part].fetch_add(1, std::memory_order_relaxed);
                if (task < begin(part + 1)) return write(tasks[task], tasks[task + 1], near[size_t(thread)], out);
            }
        });
    }

  private:
    struct Place {
        size_t group, rank;
    };

    // How many rows of the group and its neighbours come after each of its own.
    void count_later(size_t group) {
        const std::span<const uint32_t> rows = distinct_.rows(group);
        uint32_t* counts = &later_[distinct_.start(group)];
        for (size_t i = 0; i < rows.size(); ++i) counts[i] = uint32_t(rows.size() - 1 - i);
        std::vector<uint32_t> before;  // rows of neighbours that come after so many of the group's
        for (const Neighbour& one : lists_.of(group)) {
            const std::span<const uint32_t> others = distinct_.rows(one.code);
            if (others.size() >= rows.size()) {
                for (size_t i = 0; i < rows.size(); ++i)
                    counts[i] += uint32_t(DistinctCodes::beyond(others, rows[i]).size());
                continue;
            }
            before.resize(rows.size() + 1);
            for (uint32_t other : others) ++before[rows.size() - DistinctCodes::beyond(rows, other).size()];
        }
        for (size_t i = rows.size(), sum = 0; i-- > 0 && !before.empty();) counts[i] += uint32_t(sum += before[i + 1]);
    }

    // The places at which tasks begin; then the end of all.
    std::vector<Place> shared_out() const {
        constexpr uint64_t kPairs = 1 << 16, kRow = 64;
        std::vector<Place> out{{0, 0}};
        uint64_t work = 0;
        for (size_t group = 0; group < distinct_.size(); ++group)
            for (size_t rank = 0; rank < distinct_.rows(group).size(); ++rank) {
                if (work >= kPairs) out.push_back({group, rank}), work = 0;
                work += later_[distinct_.start(group) + rank] + kRow;
            }
        out.push_back({distinct_.size(), 0});
        return out;
    }

    void write(Place from, Place to, NearRows& near, const HammingPairs& out) const {
        for (Place at = from; at.group != to.group || at.rank != to.rank;) {
            const std::span<const uint32_t> rows = distinct_.rows(at.group);
            if (later_[distinct_.start(at.group) + at.rank] != 0)
                write(rows[at.rank], near.after(at.group, rows[at.rank]), out);
            if (++at.rank == rows.size()) at = {at.group + 1, 0};
        }
    }
    void write(uint32_t row, std::span<const uint64_t> later, const HammingPairs& out) const {
        const size_t start = starts_[row], n = later.size();
        int32_t* j = out.j + start;
        int16_t* distances = out.distances + start;
        for (size_t i = 0; i < n; ++i) {
            j[i] = int32_t(later[i] >> 16);
            distances[i] = int16_t(later[i] & UINT16_MAX);
        }
    }

    const DistinctCodes& distinct_;
    const NeighbourLists& lists_;
    int threads_;
    std::vector<uint32_t> later_;  // group by group
    std::vector<uint64_t> starts_;
};

}  // namespace

void hamming_pairs(const Codes& codes, size_t bits, size_t radius, const Call& call, const PairsRoom& room) {
    const int threads = threads_for(call, double(codes.n) * kWork);
    Phase grouping(call.monitor, 0, 0.1), searching(call.monitor, 0.1, 0.6), counting(call.monitor, 0.6, 0.7),
        writing(call.monitor, 0.7, 1);
    const DistinctCodes distinct(codes, threads, {threads, grouping.monitor()});
    std::vector<FoundPairs> found;
    for (int thread = 0; thread < threads; ++thread) found.emplace_back(distinct.size());
    if (radius > 0) {
        const Codes once = distinct.codes_of(codes);
        PairSearch(once, bits, radius, {threads, searching.monitor()})
            .run([&](uint32_t code, std::span<const Neighbour> later, int thread) {
                FoundPairs& own = found[size_t(thread)];
                const auto rows = distinct.rows(code);
                for (const Neighbour& one : later) {
                    own.push(code, one.code, one.distance);
                    // groups are in the order of their first rows
                    if (rows.size() > 1 && rows.back() > distinct.rows(one.code)[0])
                        own.push(one.code, code, one.distance);
                }
            });
    }
    const NeighbourLists lists(found, distinct.size(), threads, {threads, counting.monitor()});
    const Expansion pairs(distinct, lists, codes.n, threads, {threads, counting.monitor()});
    pairs.write(room(pairs.pairs()), {threads, writing.monitor()});
}

}  // namespace annkit
