// One query at a time through the tables of multi-index hashing (Norouzi, Punjani, Fleet 2014, section 3): a code
// within r bits of the query is within r / tables bits of it in at least one substring.
#pragma once

#include <chrono>
#include <vector>

#include "annkit/codec/codec.h"
#include "annkit/index/substring_tables.h"

namespace annkit {

// What looking at every row would cost instead: nanoseconds of a Zen 5 core with AVX-512, fitted to random codes of 32
// to 1,024 bits, 20,000 to 500,000 rows and 1 to 1,000 queries. What tables cost each search measures; here it begins.
struct HashCosts {
    static constexpr double kKey = 1.5, kSketch = 0.12;
    static constexpr double kHit = 3, kRangeHit = 11;  // what a scan pays for a hit, too
    // Of each query of a batch, or of lone ones.
    static double scan(size_t rows, size_t bits, size_t queries);
};

// One a thread, for as long as tables and codes are what they are. It learns from each query what the next will cost.
class HashSearch {
  public:
    HashSearch(const SubstringTables& tables, const Codec& codec, const Codes& codes);
    // A search that gets dearer is given up.
    void limit(double scan_cost) { scan_cost_ = scan_cost; }

    // Collects a query's hits, among rows that are allowed (null: all are). False where looking at every row is
    // cheaper, or was for the queries before: the hits so far are then not all.
    bool find(const Rows& query, const Bitset* allowed, TopK& top);

  private:
    void begin_anew();
    bool go_on(uint32_t radius, const TopK& top);
    void read_clock();
    void probe(size_t table, size_t level, const Bitset* allowed, TopK& top);
    void look_up(size_t table, const uint32_t* keys, size_t n, size_t level, const Bitset* allowed, TopK& top);
    void sift(size_t table, size_t level, const Bitset* allowed, TopK& top);
    void score(const Bitset* allowed, TopK& top);
    void forget();

    const SubstringTables& tables_;
    const Codes& codes_;
    size_t bits_;
    double scan_cost_ = 0, each_ = 0;  // nanoseconds of a scan, and of a key
    double credit_ = 0;                // scans that failed attempts may cost
    size_t pause_ = 0;                 // queries until the next attempt
    // Of this query: nanoseconds and keys until the clock was read; of them, what a scan would have cost, too.
    std::chrono::steady_clock::time_point began_;
    double spent_ = 0, shared_ = 0;
    size_t read_keys_ = 0;
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
