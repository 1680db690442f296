#include "annkit/index/hash_search.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "annkit/codec/bits.h"

namespace annkit {
namespace {

constexpr size_t kKeys = 128;                  // looked up at a time, so that their memory is fetched side by side
constexpr size_t kSketches = size_t(1) << 14;  // sifted at a time

// What failed attempts cost is paid by a part of what others saved, and by a scan to begin with. When it is spent, so
// many queries are left out, and all begins anew: then it costs a batch a sixtieth at most.
constexpr double kLeastCredit = 0.05, kMostCredit = 8, kPaid = 0.5;
constexpr size_t kPause = 63;
constexpr size_t kMeasured = 64;   // keys whose time tells the time of others
constexpr double kDoubted = 0.95;  // what forbids looking up so many may be wrong

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

double HashCosts::scan(size_t rows, size_t bits, size_t queries) {
    const size_t slot = bits <= 256 ? std::max<size_t>(std::bit_ceil(bits), 64) : (bits + 511) / 512 * 512;
    if (queries < bit_tiles_from(bits / 8)) return 3000 + 0.0022 * double(rows) * double(slot);
    return 5500 + (0.00042 + 0.0125 / double(queries)) * double(rows) * double((bits + 63) / 64 * 64);
}

HashSearch::HashSearch(const SubstringTables& tables, const Codec& codec, const Codes& codes)
    : tables_(tables),
      codes_(codes),
      bits_(tables.parts().bits()),
      scorer_(codec.scorer(Metric::hamming, codes, bits_)),
      seen_((tables.rows() + 63) / 64) {
    begin_anew();
}

void HashSearch::begin_anew() {
    const double values = double(size_t(1) << tables_.parts().width(0));
    each_ = HashCosts::kKey + HashCosts::kSketch * double(tables_.rows()) / values;
    credit_ = 1;
}

bool HashSearch::find(const Rows& query, const Bitset* allowed, TopK& top) {
    if (pause_ > 0) return --pause_, false;
    std::byte code[Substrings::kMostBits / 8];
    copy_bytes(query, 0, reinterpret_cast<uint8_t*>(code));
    tables_.parts().permute(code, words_);
    scorer_->query(query);
    if (tables_.rows() < codes_.n) scorer_->scan({uint32_t(tables_.rows()), uint32_t(codes_.n)}, allowed, top);
    began_ = std::chrono::steady_clock::now();
    spent_ = shared_ = 0;
    keys_ = read_keys_ = 0;
    const size_t tables = tables_.parts().tables();
    bool all = true;
    // After each step all rows within the radius are known.
    for (uint32_t radius = 0; radius <= bits_ && float(radius) <= top.kth() && all; ++radius) {
        all = go_on(radius, top);
        if (all) probe(radius % tables, radius / tables, allowed, top);
    }
    forget();
    read_clock();
    const double share = spent_ / scan_cost_;
    credit_ = std::min(credit_ + (all ? kPaid * (1 - share) : -share), kMostCredit);
    if (keys_ < kMeasured && !all) each_ *= kDoubted;
    if (credit_ < kLeastCredit) begin_anew(), pause_ = kPause;
    return all;
}

void HashSearch::read_clock() {
    const std::chrono::duration<double, std::nano> passed = std::chrono::steady_clock::now() - began_;
    const double before = spent_;
    spent_ = std::max(passed.count() - shared_, before);
    // An interruption is not to look like the price of keys for long.
    if (keys_ - read_keys_ >= kMeasured) each_ = std::min((spent_ - before) / double(keys_ - read_keys_), 2 * each_);
    read_keys_ = keys_;
}

// Whether the steps up to the distance that is still needed are worth their price.
bool HashSearch::go_on(uint32_t radius, const TopK& top) {
    const Substrings& parts = tables_.parts();
    const size_t tables = parts.tables();
    if (radius % tables == 0 && radius > 0) read_clock();
    // The k-th best so far comes nearer while the search goes on, less and less; before there are k it tells nothing.
    const float share = top.limit() == SIZE_MAX ? 1.0f : 1.0f - 0.25f / float(1 + radius / tables);
    const float needed = top.kth() > float(bits_) ? 0 : share * top.kth();
    const double budget = std::min(credit_, 1.0) * scan_cost_;
    double cost = spent_ + each_ * double(keys_ - read_keys_);
    for (uint32_t r = radius; r == radius || (float(r) <= needed && r <= bits_); ++r) {
        const size_t table = r % tables, level = r / tables;
        if (level <= parts.width(table)) cost += combinations(parts.width(table), level) * each_;
        if (cost > budget) return false;
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
    near_.resize(kSketches + simd::kMoreWords);
    size_t n = 0;
    if (bound >= 0)
        n = simd::kernels().near_words(tables_.sketches(table), runs_.data(), runs_.size(),
                                       tables_.parts().sketch(words_, table), uint32_t(std::min(bound, 32.0f)),
                                       near_.data());
    runs_.clear();
    in_runs_ = 0;
    if (n == 0) return;
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
            shared_ += range ? HashCosts::kRangeHit : HashCosts::kHit;
        }
}

void HashSearch::forget() {
    for (uint32_t row : touched_) seen_[row / 64] = 0;
    touched_.clear();
}

}  // namespace annkit
