// One query at a time through the tables of multi-index hashing (Norouzi, Punjani, Fleet 2014, section 3): a code
// within r bits of the query is within r / tables bits of it in at least one substring.
#pragma once

#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/index/substring_tables.h"

namespace annkit {

// What looking at every row would cost instead, and what the tables' steps cost. Nanoseconds of a Zen 5 core with
// AVX-512; other machines are slower at both.
struct HashCosts {
    static constexpr double kKey = 1.5, kSketch = 0.12, kCandidate = 3;
    static constexpr double kHit = 8;  // what a scan pays more for each hit of a range
    // How many times as much the steps cost in tables that the caches do not hold.
    static double wait(size_t table_bytes);
    // Of each query of a batch, or of a lone one.
    static double scan(size_t rows, size_t bits, size_t queries);
};

// One a thread.
class HashSearch {
  public:
    // scan_cost: a search that gets dearer is given up.
    HashSearch(const SubstringTables& tables, const Codec& codec, const Codes& codes, double scan_cost);

    // Collects a query's hits, among rows that are allowed (null: all are). False where looking at every row is
    // cheaper: the hits so far are then not all.
    bool find(const Rows& query, const Bitset* allowed, TopK& top);

  private:
    bool go_on(uint32_t radius, const TopK& top) const;
    void probe(size_t table, size_t level, const Bitset* allowed, TopK& top);
    void look_up(size_t table, const uint32_t* keys, size_t n, size_t level, const Bitset* allowed, TopK& top);
    void sift(size_t table, size_t level, const Bitset* allowed, TopK& top);
    void score(const Bitset* allowed, TopK& top);
    void forget();

    const SubstringTables& tables_;
    const Codes& codes_;
    size_t bits_;
    double scan_cost_, credit_, budget_ = 0, spent_ = 0;
    std::unique_ptr<Scorer> scorer_;
    uint64_t words_[Substrings::kWords];
    std::vector<uint64_t> seen_;     // a bit a row
    std::vector<uint32_t> touched_;  // the rows whose bits are set
    std::vector<simd::WordRun> runs_;
    size_t in_runs_ = 0;
    std::vector<uint32_t> near_, fresh_;
    std::vector<float> scores_;
    size_t keys_ = 0;  // of this query
};

}  // namespace annkit
