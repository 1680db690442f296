#include "annkit/index/hash_search.h"

#include <algorithm>
#include <utility>

namespace annkit {
namespace {

constexpr size_t kKeys = 128;                  // looked up at a time, so that their memory is fetched side by side
constexpr size_t kSketches = size_t(1) << 14;  // sifted at a time

constexpr double kLeastShare = 0.05, kMostCredit = 8;  // of the cost of looking at every row

// The next larger number with as many bits set.
uint32_t next_combination(uint32_t x) {
    const uint32_t low = x & (0u - x), ripple = x + low;
    return ripple | ((x ^ ripple) / low) >> 2;
}

double combinations(size_t n, size_t k) {
    double out = 1;
    for (size_t i = 0; i < k; ++i) out *= double(n - i) / double(i + 1);
    return out;
}

}  // namespace

double HashCosts::wait(size_t table_bytes) { return table_bytes > (size_t(24) << 20) ? 2 : 1; }

double HashCosts::scan(size_t rows, size_t bits, size_t queries) {
    constexpr size_t kBatch = 16;
    const double each = queries >= kBatch ? 0.03 + 0.00037 * double(bits) : 0.0021 * double(bits);
    return double(rows) * each;
}

HashSearch::HashSearch(const SubstringTables& tables, const Codec& codec, const Codes& codes, double scan_cost)
    : tables_(tables),
      codes_(codes),
      bits_(tables.parts().bits()),
      scan_cost_(scan_cost / HashCosts::wait(tables.nbytes())),
      credit_(scan_cost_),
      scorer_(codec.scorer(Metric::hamming, codes, bits_)),
      seen_((tables.rows() + 63) / 64) {}

bool HashSearch::find(const Rows& query, const Bitset* allowed, TopK& top) {
    std::byte code[Substrings::kMostBits / 8];
    copy_bytes(query, 0, reinterpret_cast<uint8_t*>(code));
    tables_.parts().permute(code, words_);
    scorer_->query(query);
    if (tables_.rows() < codes_.n) scorer_->scan({uint32_t(tables_.rows()), uint32_t(codes_.n)}, allowed, top);
    // What failed attempts cost is paid by what others saved, but for a little.
    budget_ = std::clamp(credit_, scan_cost_ * kLeastShare, scan_cost_);
    spent_ = 0;
    keys_ = 0;
    const size_t tables = tables_.parts().tables();
    bool all = true;
    // After each step all rows within the radius are known.
    for (uint32_t radius = 0; radius <= bits_ && float(radius) <= top.kth() && all; ++radius) {
        all = go_on(radius, top);
        if (all) probe(radius % tables, radius / tables, allowed, top);
    }
    forget();
    credit_ = std::clamp(credit_ + (all ? scan_cost_ : 0) - spent_, 0.0, kMostCredit * scan_cost_);
    return all;
}

// Whether the steps up to the distance that is still needed are worth their price.
bool HashSearch::go_on(uint32_t radius, const TopK& top) const {
    const Substrings& parts = tables_.parts();
    const size_t tables = parts.tables();
    const double each = keys_ < tables ? HashCosts::kKey + HashCosts::kSketch * double(tables_.rows()) /
                                                               double(size_t(1) << parts.width(0))
                                       : spent_ / double(keys_);
    // The k-th best so far comes nearer while the search goes on, less and less; before there are k it tells nothing.
    const float share = top.limit() == SIZE_MAX ? 1.0f : 1.0f - 0.25f / float(1 + radius / tables);
    const float needed = top.kth() > float(bits_) ? 0 : share * top.kth();
    double cost = spent_;
    for (uint32_t r = radius; r == radius || (float(r) <= needed && r <= bits_); ++r) {
        const size_t table = r % tables, level = r / tables;
        if (level <= parts.width(table)) cost += combinations(parts.width(table), level) * each;
        if (cost > budget_) return false;
    }
    return true;
}

void HashSearch::probe(size_t table, size_t level, const Bitset* allowed, TopK& top) {
    const size_t width = tables_.parts().width(table);
    if (level > width) return;
    const uint32_t own = tables_.parts().key(words_, table);
    uint32_t keys[kKeys];
    size_t n = 0;
    const uint64_t end = uint64_t(1) << width;
    for (uint64_t flips = (uint64_t(1) << level) - 1; flips < end;) {
        keys[n++] = own ^ uint32_t(flips);
        if (n == kKeys) look_up(table, keys, std::exchange(n, 0), level, allowed, top);
        if (flips == 0) break;
        flips = next_combination(uint32_t(flips));
    }
    look_up(table, keys, n, level, allowed, top);
    if (!runs_.empty()) sift(table, level, allowed, top);
}

void HashSearch::look_up(size_t table, const uint32_t* keys, size_t n, size_t level, const Bitset* allowed, TopK& top) {
    const uint32_t* starts = tables_.starts(table);
    const uint32_t* sketches = tables_.sketches(table);
    for (size_t i = 0; i < n; ++i) __builtin_prefetch(starts + keys[i]);
    keys_ += n;
    spent_ += double(n) * HashCosts::kKey;
    for (size_t i = 0; i < n; ++i) {
        uint32_t first = starts[keys[i]];
        const uint32_t last = starts[keys[i] + 1];
        if (first == last) continue;
        __builtin_prefetch(sketches + first);
        while (first < last) {
            const auto some = uint32_t(std::min<size_t>(last - first, kSketches - in_runs_));
            runs_.push_back({first, first + some});
            in_runs_ += some;
            first += some;
            if (in_runs_ == kSketches) sift(table, level, allowed, top);
        }
    }
}

// Rows whose sketch is near enough, and which have not been met.
void HashSearch::sift(size_t table, size_t level, const Bitset* allowed, TopK& top) {
    const float bound = std::min(top.kth(), float(bits_)) - float(level);
    spent_ += double(in_runs_) * HashCosts::kSketch;
    near_.resize(kSketches + simd::kMoreWords);
    size_t n = 0;
    if (bound >= 0)
        n = simd::kernels().near_words(tables_.sketches(table), runs_.data(), runs_.size(),
                                       tables_.parts().sketch(words_, table), uint32_t(std::min(bound, 32.0f)),
                                       near_.data());
    runs_.clear();
    in_runs_ = 0;
    if (n == 0) return;
    spent_ += double(n) * HashCosts::kCandidate;
    const uint32_t* members = tables_.members(table);
    for (size_t i = 0; i < n; ++i) {
        near_[i] = members[near_[i]];
        __builtin_prefetch(codes_.code(near_[i]));
    }
    touched_.resize(touched_.size() + n);
    uint32_t* fresh = touched_.data() + (touched_.size() - n);
    size_t met = 0;
    for (size_t i = 0; i < n; ++i) {
        const uint32_t row = near_[i];
        uint64_t& word = seen_[row / 64];
        const uint64_t bit = uint64_t(1) << (row % 64);
        fresh[met] = row;
        met += (word & bit) == 0;
        word |= bit;
    }
    fresh_.assign(fresh, fresh + met);
    touched_.resize(touched_.size() - n + met);
    score(allowed, top);
}

void HashSearch::score(const Bitset* allowed, TopK& top) {
    const bool range = top.limit() == SIZE_MAX;
    if (allowed != nullptr) std::erase_if(fresh_, [allowed](uint32_t row) { return !allowed->test(row); });
    scores_.resize(fresh_.size());
    scorer_->gather(fresh_.data(), fresh_.size(), scores_.data());
    for (size_t i = 0; i < fresh_.size(); ++i)
        if (scores_[i] <= top.kth()) {
            top.push(scores_[i], fresh_[i]);
            spent_ -= range ? HashCosts::kCandidate + HashCosts::kHit : HashCosts::kCandidate;
        }
}

void HashSearch::forget() {
    for (uint32_t row : touched_) seen_[row / 64] = 0;
    touched_.clear();
}

}  // namespace annkit
