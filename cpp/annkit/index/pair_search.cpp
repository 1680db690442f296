#include "annkit/index/pair_search.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "annkit/codec/bits.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/hash_search.h"

namespace annkit {
namespace {

constexpr size_t kMostChoices = 64, kMostBlocks = 20;
// Nanoseconds of a Zen 5 core: of a code in a choice (hashing, sorting, asking), and of a pair that meets.
constexpr double kCode = 80, kMeeting = 0.15;

// The sets of so many of the first n numbers.
std::vector<uint32_t> choices(size_t n, size_t chosen) {
    std::vector<uint32_t> out;
    for (uint32_t set = 0; set < 1u << n; ++set)
        if (size_t(std::popcount(set)) == chosen) out.push_back(set);
    return out;
}

// Of the choices that a pair is found by, one reports it: the one that fills up with the lowest blocks.
bool is_first(uint32_t choice, uint32_t differing) {
    const uint32_t filled = choice & ~differing;
    return (differing & ~choice) == 0 &&
           (filled == 0 || (((2u << (31 - std::countl_zero(filled))) - 1) & ~choice & ~differing) == 0);
}

}  // namespace

struct PairSearch::Asking {
    std::vector<uint32_t> near;
    std::vector<const void*> codes;
    std::vector<float> scores;
    std::vector<Neighbour> found;
};

void PairSearch::run(const Report& report) {
    if (codes_.n < 2) return;
    const size_t blocks = choose();
    if (blocks == 0) return scan(report);
    const BlockedCodes all(codes_, bits_, blocks, call_.threads, call_);
    const auto sets = choices(blocks, radius_);
    for (size_t i = 0; i < sets.size(); ++i) {
        Phase phase(call_.monitor, double(i) / double(sets.size()), double(i + 1) / double(sets.size()));
        search(all, sets[i], {call_.threads, phase.monitor()}, report);
    }
}

// The cheapest number of blocks, by the pairs of a sample that meet; 0 where comparing all pairs is cheaper.
size_t PairSearch::choose() const {
    constexpr size_t kSample = 4096;
    const size_t n = std::min(codes_.n, kSample);
    Codes sample(codes_.code_bytes(), {});
    sample.reserve(n);
    for (size_t i = 0; i < n; ++i) sample.put(i, codes_.code(i * codes_.n / n));
    sample.n = n;
    const double times = double(codes_.n) / double(n);
    double least = double(codes_.n) * HashCosts::scan(codes_.n, bits_, codes_.n);
    size_t best = 0;
    for (size_t blocks = radius_ + 1; blocks <= std::min({radius_ + 5, kMostBlocks, bits_}); ++blocks) {
        const auto sets = choices(blocks, radius_);
        if (sets.size() > kMostChoices) break;
        double cost = kCode * double(sets.size()) * double(codes_.n);
        if (cost >= least) break;
        const BlockedCodes some(sample, bits_, blocks, 1, call_);
        for (uint32_t set : sets) {
            GroupedKeys groups;
            groups.group(n, 1, call_, some.keys_without(set));
            double meeting = 0;
            for (size_t i = 0; i < n; ++i) meeting += double(groups.entries()[i].end - i - 1);
            cost += kMeeting * meeting * times * times;
        }
        if (cost < least) least = cost, best = blocks;
    }
    return best;
}

void PairSearch::search(const BlockedCodes& blocks, uint32_t set, const Call& call, const Report& report) {
    groups_.group(codes_.n, call.threads, call, blocks.keys_without(set));
    const auto& entries = groups_.entries();
    sketches_.resize(codes_.n);
    parallel_blocks(codes_.n, 4096, call.threads, call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i) sketches_[i] = blocks.sketch(entries[i].number, set);
    });
    constexpr size_t kCodesATask = 256, kPiece = size_t(1) << 14;
    std::vector<Asking> asking{size_t(call.threads)};
    parallel_for((codes_.n + kCodesATask - 1) / kCodesATask, call.threads, call, [&](size_t task, int thread) {
        for (size_t i = task * kCodesATask; i < std::min(codes_.n, (task + 1) * kCodesATask); ++i)
            for (size_t first = i + 1; first < entries[i].end; first += kPiece) {
                const size_t last = std::min<size_t>(entries[i].end, first + kPiece);
                const auto later = ask(blocks, set, i, {uint32_t(first), uint32_t(last)}, asking[size_t(thread)]);
                if (!later.empty()) report(entries[i].number, later, thread);
            }
    });
}

// Those of a run of entries that are near to an entry before it.
std::span<const Neighbour> PairSearch::ask(const BlockedCodes& blocks, uint32_t set, size_t at, simd::WordRun run,
                                           Asking& own) const {
    const auto& entries = groups_.entries();
    const uint32_t code = entries[at].number;
    own.near.resize(run.last - run.first + simd::kMoreWords);
    const size_t n =
        simd::kernels().near_words(sketches_.data(), &run, 1, sketches_[at], uint32_t(radius_), own.near.data());
    own.found.clear();
    own.codes.clear();
    for (size_t i = 0; i < n; ++i) {
        const uint32_t other = entries[own.near[i]].number;
        if (!is_first(set, blocks.differing(code, other))) continue;
        own.found.push_back({other, 0});
        own.codes.push_back(blocks.code(other));
    }
    own.scores.resize(own.found.size());
    simd::kernels().hamming(blocks.code(code), own.codes.data(), blocks.code_bytes(), own.codes.size(),
                            own.scores.data());
    size_t kept = 0;
    for (size_t i = 0; i < own.found.size(); ++i)
        if (own.scores[i] <= float(radius_)) own.found[kept++] = {own.found[i].code, uint32_t(own.scores[i])};
    own.found.resize(kept);
    return own.found;
}

// Every pair, from both sides.
void PairSearch::scan(const Report& report) const {
    constexpr size_t kQueries = 8192;
    const Bits bits;
    const size_t bytes = codes_.code_bytes();
    std::vector<uint8_t> queries;
    std::vector<Neighbour> later;
    std::mutex adding;
    for (size_t first = 0; first < codes_.n; first += kQueries) {
        const size_t n = std::min(kQueries, codes_.n - first);
        Phase phase(call_.monitor, double(first) / double(codes_.n), double(first + n) / double(codes_.n));
        queries.resize(n * bytes);
        for (size_t i = 0; i < n; ++i) std::memcpy(&queries[i * bytes], codes_.code(first + i), bytes);
        const Rows rows{
            reinterpret_cast<const std::byte*>(queries.data()), n, bits_, Dtype::bits, ptrdiff_t(bytes), 1, 0};
        ExhaustiveSearch{bits, Metric::hamming, codes_, bits_, TopK::within(float(radius_), {{}, true}), {}}.run(
            rows, {call_.threads, phase.monitor()}, [&](size_t query, std::span<const Hit> hits) {
                const auto code = uint32_t(first + query);
                const std::lock_guard lock(adding);
                later.clear();
                for (const Hit& hit : hits)
                    if (hit.row > code) later.push_back({hit.row, uint32_t(hit.score)});
                report(code, later, 0);
            });
    }
}

}  // namespace annkit
