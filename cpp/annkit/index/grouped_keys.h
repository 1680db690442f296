// Numbers with equal keys brought together, by threads, in an order that depends on the keys alone.
#pragma once

#include <cstdint>
#include <vector>

#include "annkit/core/parallel.h"

namespace annkit {

class GroupedKeys {
  public:
    struct Entry {
        uint64_t key;
        uint32_t number;
        uint32_t end;  // where the entries with this key end
    };
    // key_of(number), for numbers below n. Keys are hashes: their high bits are spread.
    template <class KeyOf>
    void group(size_t n, int threads, const Call& call, KeyOf&& key_of) {
        start(n);
        parallel_for(chunks_, threads, call, [&](size_t chunk, int) {
            uint32_t* counts = &counts_[chunk * parts()];
            for (size_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i)
                ++counts[(keys_[i] = key_of(i)) >> shift_];
        });
        place();
        parallel_for(chunks_, threads, call, [&](size_t chunk, int) {
            uint32_t* next = &counts_[chunk * parts()];
            for (size_t i = chunk * kChunk; i < std::min(n, (chunk + 1) * kChunk); ++i)
                entries_[next[keys_[i] >> shift_]++] = {keys_[i], uint32_t(i), 0};
        });
        sort_parts(threads, call);
    }
    const std::vector<Entry>& entries() const { return entries_; }

  private:
    static constexpr size_t kChunk = size_t(1) << 16;
    size_t parts() const { return size_t(1) << (64 - shift_); }
    void start(size_t n);
    void place();
    void sort_parts(int threads, const Call& call);

    unsigned shift_ = 63;
    size_t chunks_ = 0;
    std::vector<uint64_t> keys_;
    std::vector<uint32_t> counts_;  // chunk by chunk; then where the next entry of a part goes
    std::vector<uint32_t> starts_;  // of parts
    std::vector<Entry> entries_;
};

}  // namespace annkit
