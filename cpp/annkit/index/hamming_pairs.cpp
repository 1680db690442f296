#include "annkit/index/hamming_pairs.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <span>

#include "annkit/codec/bits.h"
#include "annkit/core/errors.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/grouped_keys.h"
#include "annkit/index/hash_search.h"
#include "annkit/index/substrings.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

constexpr double kWork = 1000;  // of a code, for the choice of threads

struct Pair {
    uint32_t i, j;
    int32_t distance;
};
// Of one thread, in pieces that growth does not move.
class Found {
  public:
    void push(const Pair& pair) {
        if (pieces_.empty() || pieces_.back().size() == kPiece) pieces_.emplace_back().reserve(kPiece);
        pieces_.back().push_back(pair);
    }
    const std::vector<std::vector<Pair>>& pieces() const { return pieces_; }

  private:
    static constexpr size_t kPiece = size_t(1) << 14;
    std::vector<std::vector<Pair>> pieces_;
};

uint64_t mixed(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

// Equal codes, which are compared with others only once.
class Distinct {
  public:
    Distinct(const Codes& codes, int threads, const Call& call) {
        const size_t bytes = codes.code_bytes();
        GroupedKeys groups;
        groups.group(codes.n, threads, call, [&](size_t i) {
            uint64_t hash = 0;
            const std::byte* code = codes.code(i);
            for (size_t at = 0; at < bytes; at += 8) {
                uint64_t word = 0;
                std::memcpy(&word, code + at, std::min<size_t>(8, bytes - at));
                hash = mixed(hash + word + 0x9e3779b97f4a7c15u);
            }
            return hash;
        });
        rows_.reserve(codes.n);
        const auto& entries = groups.entries();
        parallel_blocks(codes.n, 4096, 1, call, [&](size_t first, size_t count) {
            for (size_t i = first; i < first + count; ++i)
                if (i == 0 || entries[i].key != entries[i - 1].key)
                    part(codes, std::span(entries).subspan(i, entries[i].end - i));
        });
        starts_.push_back(uint32_t(rows_.size()));
    }
    size_t size() const { return starts_.size() - 1; }
    std::span<const uint32_t> rows(size_t group) const {
        return std::span(rows_).subspan(starts_[group], starts_[group + 1] - starts_[group]);
    }

  private:
    // Rows of equal hashes: their codes are equal too, but for chance.
    void part(const Codes& codes, std::span<const GroupedKeys::Entry> entries) {
        std::vector<uint32_t> left, other;
        for (const auto& entry : entries.subspan(1)) left.push_back(entry.number);
        for (uint32_t row = entries[0].number;; row = left[0], left.erase(left.begin())) {
            starts_.push_back(uint32_t(rows_.size()));
            rows_.push_back(row);
            other.clear();
            for (uint32_t one : left) {
                const bool same = std::memcmp(codes.code(row), codes.code(one), codes.code_bytes()) == 0;
                (same ? rows_ : other).push_back(one);
            }
            left.swap(other);
            if (left.empty()) return;
        }
    }

    std::vector<uint32_t> rows_, starts_;
};

// Codes by blocks of their bits: a hash of each block, and a choice of blocks to look away from.
class Blocks {
  public:
    Blocks(const Codes& codes, size_t bits, size_t n_blocks, int threads, const Call& call)
        : parts_(Substrings::learned(codes, codes.n, bits, n_blocks)), n_(n_blocks), hashes_(codes.n * n_blocks) {
        sketches_.resize(codes.n * n_);
        parallel_blocks(codes.n, 1024, threads, call, [&](size_t first, size_t count) {
            uint64_t words[Substrings::kWords];
            for (size_t row = first; row < first + count; ++row) {
                parts_.permute(codes.code(row), words);
                for (size_t b = 0; b < n_; ++b) {
                    hashes_[row * n_ + b] = parts_.hash(words, b) * 2 + 1;
                    sketches_[row * n_ + b] = parts_.lead(words, b);
                }
            }
        });
    }
    size_t size() const { return n_; }
    // Of the blocks that are not in the set.
    uint64_t key(size_t row, uint32_t without) const {
        uint64_t sum = 0;
        for (size_t b = 0; b < n_; ++b) sum = without >> b & 1 ? sum : mixed(sum + hashes_[row * n_ + b]);
        return sum;
    }
    // Up to 32 bits of the blocks that are in the set, of each as many.
    uint32_t sketch(size_t row, uint32_t within) const {
        uint32_t out = 0;
        const auto each = unsigned(32 / std::popcount(within));
        for (size_t b = 0; b < n_; ++b)
            if (within >> b & 1)
                out = uint32_t(uint64_t(out) << each) | uint32_t(sketches_[row * n_ + b] & ((uint64_t(1) << each) - 1));
        return out;
    }
    uint32_t differing(size_t a, size_t b) const {
        uint32_t set = 0;
        for (size_t i = 0; i < n_; ++i) set |= uint32_t(hashes_[a * n_ + i] != hashes_[b * n_ + i]) << i;
        return set;
    }

  private:
    Substrings parts_;
    size_t n_;
    std::vector<uint64_t> hashes_;
    std::vector<uint32_t> sketches_;
};

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

class PairSearch {
  public:
    PairSearch(const Codes& codes, size_t bits, size_t radius, const Call& call)
        : codes_(codes), bits_(bits), radius_(radius), call_(call), threads_(call.threads) {}

    // Into one list a thread.
    void run(std::vector<Found>& found) {
        if (codes_.n < 2) return;
        const size_t blocks = choose();
        if (blocks == 0) return scan(found);
        const Blocks all(codes_, bits_, blocks, threads_, call_);
        const auto sets = choices(blocks, radius_);
        for (size_t i = 0; i < sets.size(); ++i) {
            Phase phase(call_.monitor, double(i) / double(sets.size()), double(i + 1) / double(sets.size()));
            search(all, sets[i], {call_.threads, phase.monitor()}, found);
        }
    }
    int threads() const { return threads_; }

  private:
    static constexpr size_t kMostChoices = 64, kMostBlocks = 20;
    // Nanoseconds of a Zen 5 core: of a code in a choice (hashing, sorting, asking), and of a pair that meets.
    static constexpr double kCode = 80, kMeeting = 0.15;

    // The cheapest number of blocks, by the pairs of a sample that meet; 0 where comparing all pairs is cheaper.
    size_t choose() const {
        constexpr size_t kSample = 4096;
        const size_t n = std::min(codes_.n, kSample);
        Codes sample(codes_.code_bytes(), {});
        sample.reserve(n);
        for (size_t i = 0; i < n; ++i)
            std::memcpy(sample.columns[0].row(i), codes_.code(i * codes_.n / n), codes_.code_bytes());
        sample.n = n;
        const double times = double(codes_.n) / double(n);
        double least = double(codes_.n) * HashCosts::scan(codes_.n, bits_, codes_.n);
        size_t best = 0;
        for (size_t blocks = radius_ + 1; blocks <= std::min({radius_ + 5, kMostBlocks, bits_}); ++blocks) {
            const auto sets = choices(blocks, radius_);
            if (sets.size() > kMostChoices) break;
            double cost = kCode * double(sets.size()) * double(codes_.n);
            if (cost >= least) break;
            const Blocks some(sample, bits_, blocks, 1, call_);
            for (uint32_t set : sets) {
                GroupedKeys groups;
                groups.group(n, 1, call_, [&](size_t row) { return some.key(row, set); });
                double meeting = 0;
                for (size_t i = 0; i < n; ++i) meeting += double(groups.entries()[i].end - i - 1);
                cost += kMeeting * meeting * times * times;
            }
            if (cost < least) least = cost, best = blocks;
        }
        return best;
    }

    void search(const Blocks& blocks, uint32_t set, const Call& call, std::vector<Found>& found) {
        groups_.group(codes_.n, threads_, call, [&](size_t row) { return blocks.key(row, set); });
        const auto& entries = groups_.entries();
        sketches_.resize(codes_.n);
        parallel_blocks(codes_.n, 4096, threads_, call, [&](size_t first, size_t count) {
            for (size_t i = first; i < first + count; ++i) sketches_[i] = blocks.sketch(entries[i].number, set);
        });
        constexpr size_t kCodesATask = 256;
        std::vector<Asking> asking{size_t(threads_)};
        parallel_for((codes_.n + kCodesATask - 1) / kCodesATask, threads_, call, [&](size_t task, int thread) {
            for (size_t i = task * kCodesATask; i < std::min(codes_.n, (task + 1) * kCodesATask); ++i)
                ask(blocks, set, i, asking[size_t(thread)], found[size_t(thread)]);
        });
    }

    struct Asking {
        std::vector<uint32_t> near, rows;
        std::vector<const void*> codes;
        std::vector<float> scores;
    };

    // The entries after this one that have its key.
    void ask(const Blocks& blocks, uint32_t set, size_t at, Asking& own, Found& found) const {
        constexpr size_t kPiece = size_t(1) << 14;
        const auto& entries = groups_.entries();
        const uint32_t row = entries[at].number;
        for (size_t first = at + 1; first < entries[at].end; first += kPiece) {
            const simd::WordRun run{uint32_t(first), uint32_t(std::min<size_t>(entries[at].end, first + kPiece))};
            own.near.resize(run.last - run.first + simd::kMoreWords);
            const size_t n = simd::kernels().near_words(sketches_.data(), &run, 1, sketches_[at], uint32_t(radius_),
                                                        own.near.data());
            own.rows.clear();
            own.codes.clear();
            for (size_t i = 0; i < n; ++i) {
                const uint32_t other = entries[own.near[i]].number;
                if (!is_first(set, blocks.differing(row, other))) continue;
                own.rows.push_back(other);
                own.codes.push_back(codes_.code(other));
            }
            own.scores.resize(own.rows.size());
            simd::kernels().hamming(codes_.code(row), own.codes.data(), codes_.code_bytes(), own.rows.size(),
                                    own.scores.data());
            for (size_t i = 0; i < own.rows.size(); ++i)
                if (own.scores[i] <= float(radius_)) found.push({row, own.rows[i], int32_t(own.scores[i])});
        }
    }

    // Every pair, from both sides.
    void scan(std::vector<Found>& found) const {
        constexpr size_t kQueries = 8192;
        const Bits bits;
        const size_t bytes = codes_.code_bytes();
        std::vector<uint8_t> queries;
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
                    const auto row = uint32_t(first + query);
                    const std::lock_guard lock(adding);
                    for (const Hit& hit : hits)
                        if (hit.row > row) found[0].push({row, hit.row, int32_t(hit.score)});
                });
        }
    }

    const Codes& codes_;
    size_t bits_, radius_;
    Call call_;
    int threads_;
    GroupedKeys groups_;
    std::vector<uint32_t> sketches_;  // in the order of the entries
};

// Pairs of groups become pairs of their rows; in order.
void expand(const Distinct& distinct, const std::vector<Found>& found, size_t n, int threads, const Call& call,
            const PairsRoom& room) {
    std::vector<uint64_t> starts(n + 1);
    const auto each = [&](auto&& act) {
        constexpr size_t kBlock = 4096;
        parallel_blocks(distinct.size(), kBlock, 1, call, [&](size_t first, size_t count) {
            for (size_t g = first; g < first + count; ++g) {
                const auto rows = distinct.rows(g);  // rising
                for (size_t a = 0; a < rows.size(); ++a)
                    for (size_t b = a + 1; b < rows.size(); ++b) act(rows[a], rows[b], 0);
            }
        });
        for (const Found& own : found)
            parallel_for(own.pieces().size(), 1, call, [&](size_t piece, int) {
                for (const Pair& pair : own.pieces()[piece])
                    for (uint32_t a : distinct.rows(pair.i))
                        for (uint32_t b : distinct.rows(pair.j)) act(std::min(a, b), std::max(a, b), pair.distance);
            });
    };
    each([&](uint32_t i, uint32_t, int32_t) { ++starts[i + 1]; });
    for (size_t i = 0; i < n; ++i) starts[i + 1] += starts[i];
    const HammingPairs out = room(starts[n]);  // j holds j and the distance, until those are in order
    std::vector<uint64_t> next(starts.begin(), starts.end() - 1);
    each([&](uint32_t i, uint32_t j, int32_t distance) { out.j[next[i]++] = int64_t(j) << 16 | distance; });
    parallel_blocks(n, 1024, threads, call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i) {
            std::sort(out.j + starts[i], out.j + starts[i + 1]);
            for (size_t at = starts[i]; at < starts[i + 1]; ++at) {
                out.i[at] = int64_t(i);
                out.distances[at] = int32_t(out.j[at] & UINT16_MAX);
                out.j[at] >>= 16;
            }
        }
    });
}

}  // namespace

void hamming_pairs(const Codes& codes, size_t bits, size_t radius, const Call& call, const PairsRoom& room) {
    const int threads = threads_for(call, double(codes.n) * kWork);
    const Distinct distinct(codes, threads, call);
    Codes once(codes.code_bytes(), {});
    once.reserve(distinct.size());
    for (size_t g = 0; g < distinct.size(); ++g)
        std::memcpy(once.columns[0].row(g), codes.code(distinct.rows(g)[0]), codes.code_bytes());
    once.n = distinct.size();
    std::vector<Found> found(static_cast<size_t>(threads));
    if (radius > 0) PairSearch(once, bits, radius, {threads, call.monitor}).run(found);
    expand(distinct, found, codes.n, threads, call, room);
}

}  // namespace annkit
