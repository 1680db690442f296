#include "annkit/index/distinct_codes.h"

#include <algorithm>
#include <cstring>

#include "annkit/core/random.h"
#include "annkit/index/grouped_keys.h"

namespace annkit {
namespace {

constexpr size_t kWord = sizeof(uint64_t);

uint64_t hash_of(const std::byte* code, size_t bytes) {
    uint64_t hash = 0;
    for (size_t at = 0; at < bytes; at += kWord) {
        uint64_t word = 0;
        std::memcpy(&word, code + at, std::min(kWord, bytes - at));
        hash = Random(hash + word).next();
    }
    return hash;
}

// The first row that has each row's code.
class Leaders {
  public:
    Leaders(const Codes& codes, int threads, const Call& call) : codes_(codes), leaders_(codes.n) {
        const size_t bytes = codes.code_bytes();
        GroupedKeys groups;
        groups.group(codes.n, threads, call, [&](size_t row) { return hash_of(codes.code(row), bytes); });
        const auto& entries = groups.entries();
        parallel_blocks(codes.n, 4096, threads, call, [&](size_t first, size_t count) {
            for (size_t i = first; i < first + count; ++i)
                if (i == 0 || entries[i].key != entries[i - 1].key)
                    lead(std::span(entries).subspan(i, entries[i].end - i));
        });
    }
    uint32_t operator[](size_t row) const { return leaders_[row]; }

  private:
    // Rows of equal hashes, rising: their codes are equal too, but for chance where the hash has fewer bits.
    void lead(std::span<const GroupedKeys::Entry> entries) {
        const size_t bytes = codes_.code_bytes();
        std::vector<uint32_t> others;
        const uint32_t first = entries[0].number;
        for (const auto& entry : entries) {
            const auto same = [&](uint32_t row) {
                return std::memcmp(codes_.code(row), codes_.code(entry.number), bytes) == 0;
            };
            uint32_t leader = first;
            if (bytes > kWord && !same(first)) {
                const auto known = std::find_if(others.begin(), others.end(), same);
                leader = known != others.end() ? *known : others.emplace_back(entry.number);
            }
            leaders_[entry.number] = leader;
        }
    }

    const Codes& codes_;
    std::vector<uint32_t> leaders_;
};

}  // namespace

DistinctCodes::DistinctCodes(const Codes& codes, int threads, const Call& call) : rows_(codes.n) {
    const Leaders leaders(codes, threads, call);
    std::vector<uint32_t> groups(codes.n);
    starts_.reserve(codes.n + 2);
    starts_.assign(2, 0);
    for (size_t row = 0; row < codes.n; ++row) {
        const bool first = leaders[row] == row;
        groups[row] = first ? uint32_t(starts_.size() - 2) : groups[leaders[row]];
        if (first) starts_.push_back(0);
        ++starts_[groups[row] + 2];
    }
    // starts_[g + 1] is where the next row of group g goes
    for (size_t g = 2; g < starts_.size(); ++g) starts_[g] += starts_[g - 1];
    for (size_t row = 0; row < codes.n; ++row) rows_[starts_[groups[row] + 1]++] = uint32_t(row);
    starts_.pop_back();
}

Codes DistinctCodes::codes_of(const Codes& codes) const {
    Codes out(codes.code_bytes(), {});
    out.reserve(size());
    for (size_t g = 0; g < size(); ++g) out.put(g, codes.code(rows(g)[0]));
    out.n = size();
    return out;
}

}  // namespace annkit
