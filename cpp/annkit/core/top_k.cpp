#include "annkit/core/top_k.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <optional>

#include "annkit/core/score_bound.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {

// From here on sorting by digits is faster than by comparisons (Zen 5: 370 hits in 3 instead of 15 microseconds).
constexpr size_t kDigitsFrom = 96;

bool is_count(float score) {
    constexpr float kMost = 65536;
    return score >= 0 && score < kMost && float(uint32_t(score)) == score;
}

// Of small whole scores (counts), the hits as numbers that sort by score and row; none where others are among them.
std::vector<uint64_t> counted(std::span<const Hit> hits, unsigned row_bits) {
    std::vector<uint64_t> keys(hits.size());
    for (size_t i = 0; i < hits.size(); ++i) {
        if (!is_count(hits[i].score)) return {};
        keys[i] = uint64_t(hits[i].score) << row_bits | hits[i].row;
    }
    return keys;
}

bool sort_by_digits(std::vector<Hit>& hits) {
    constexpr unsigned kDigit = 8;
    uint32_t most = 0;
    for (const Hit& hit : hits) most |= hit.row;
    const auto row_bits = unsigned(std::bit_width(most));
    std::vector<uint64_t> keys = counted(hits, row_bits), sorted(keys.size());
    if (keys.empty()) return false;
    uint64_t all = 0;
    for (uint64_t key : keys) all |= key;
    for (unsigned shift = 0; all >> shift != 0; shift += kDigit) {
        std::array<uint32_t, (1u << kDigit) + 1> starts{};
        for (uint64_t key : keys) ++starts[(key >> shift & ((1u << kDigit) - 1)) + 1];
        for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
        for (uint64_t key : keys) sorted[starts[key >> shift & ((1u << kDigit) - 1)]++] = key;
        keys.swap(sorted);
    }
    const uint64_t rows = (uint64_t(1) << row_bits) - 1;
    for (size_t i = 0; i < hits.size(); ++i) hits[i] = {float(keys[i] >> row_bits), uint32_t(keys[i] & rows)};
    return true;
}

// The k best in order, where scores spread well over as many buckets as there are hits: each hit is then about where it
// belongs, and insertion does the rest.
bool sort_by_buckets(std::vector<Hit>& hits, size_t k, const TieOrder& order) {
    constexpr size_t kFull = 16, kMost = size_t(1) << 20;  // hits: of a bucket; of all
    const size_t n = hits.size();
    if (n > kMost) return false;
    float low = hits[0].score, high = low;
    for (const Hit& hit : hits) low = std::min(low, hit.score), high = std::max(high, hit.score);
    const float most = float(n) - 1, scale = most / (high - low);
    if (!(scale < std::numeric_limits<float>::infinity())) return false;
    std::vector<uint32_t> starts(n + 1), of(n);
    for (size_t i = 0; i < n; ++i) {
        const float at = (hits[i].score - low) * scale;
        if (!(at >= 0)) return false;
        of[i] = uint32_t(std::min(at, most));
        ++starts[of[i] + 1];
    }
    size_t sorted = 0;  // the first buckets, which hold the k best
    for (size_t b = 0; b < n; ++b) {
        if (starts[b + 1] > kFull) return false;
        starts[b + 1] += starts[b];
        if (starts[b] < k) sorted = starts[b + 1];
    }
    std::vector<Hit> moved(n);
    for (size_t i = 0; i < n; ++i) moved[starts[of[i]]++] = hits[i];
    for (size_t i = 1; i < sorted; ++i) {
        const Hit hit = moved[i];
        size_t to = i;
        for (; to > 0 && order.before(hit, moved[to - 1]); --to) moved[to] = moved[to - 1];
        moved[to] = hit;
    }
    moved.resize(std::min(n, k));
    hits.swap(moved);
    return true;
}

bool is_nearer(const Hit& a, const Hit& b) { return a.score < b.score; }

// Keeps the k best where a score parts them from the others, and returns it; where none does, hits stay as they are.
std::optional<float> keep_by_counts(std::vector<Hit>& hits, size_t k) {
    constexpr size_t kMost = 2048;
    if (hits.size() > kMost) return {};
    float scores[kMost];
    for (size_t i = 0; i < hits.size(); ++i) scores[i] = hits[i].score;
    const float bound = bound_with({scores, hits.size()}, k, k);
    if (simd::kernels().count(scores, hits.size(), bound) != k) return {};
    size_t kept = 0;
    for (size_t i = 0; kept < k; ++i) {
        hits[kept] = hits[i];
        kept += scores[i] <= bound;
    }
    hits.resize(k);
    return bound;
}

// The next smaller float: std::nextafter takes longer than a hit's place in the order.
float below(float x) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    if (x == 0) return -std::numeric_limits<float>::denorm_min();
    if (!(x > -kInfinity)) return x;
    const auto bits = std::bit_cast<int32_t>(x);
    return std::bit_cast<float>(bits + (bits < 0 ? 1 : -1));
}

}  // namespace

// Twice k: shrinking costs a few operations a hit. For small k a little more, so that a call of nth_element pays.
TopK::TopK(size_t k, TieOrder order)
    : k_(k), capacity_(k + std::max<size_t>(k, 24)), order_(order), in_order_(k <= kFew) {}

void TopK::reserve() { hits_.reserve(std::min<size_t>(in_order_ ? k_ : capacity_, 256)); }

TopK TopK::within(float radius, TieOrder order) {
    TopK all(0, order);
    all.k_ = all.capacity_ = SIZE_MAX;
    all.in_order_ = false;
    all.kth_ = all.bound_ = radius;
    return all;
}

void TopK::shrink() {
    if (hits_.size() < k_) return;
    if (hits_.size() == k_) return take_kth(std::max_element(hits_.begin(), hits_.end(), is_nearer)->score);
    if (const auto bound = keep_by_counts(hits_, k_)) return take_kth(*bound);
    const auto kth = hits_.begin() + ptrdiff_t(k_ - 1);
    std::nth_element(hits_.begin(), kth, hits_.end(),
                     [this](const Hit& a, const Hit& b) { return order_.before(a, b); });
    take_kth(kth->score);
    hits_.resize(k_);
}

void TopK::take_kth(float score) {
    kth_ = score;
    bound_ = order_.later_loses() ? below(kth_) : kth_;
}

void TopK::insert(Hit hit) {
    if (hits_.size() < k_)
        hits_.push_back(hit);
    else if (!order_.before(hit, hits_.back()))
        return;
    size_t i = hits_.size() - 1;
    for (; i > 0 && order_.before(hit, hits_[i - 1]); --i) hits_[i] = hits_[i - 1];
    hits_[i] = hit;
    if (hits_.size() == k_) take_kth(hits_.back().score);
}

// The k best of n hits, in order; false where it sees that one is no number. Hits of equal score have the same rank:
// they take places from there on, each behind those that come before it.
bool TopK::place(const float* scores, const uint32_t* rows, size_t n) {
    uint32_t ranks[kMostRanked];
    Hit placed[kMostRanked];
    if (simd::kernels().rank(scores, n, ranks)) {
        for (size_t i = 0; i < n; ++i) placed[ranks[i]] = {scores[i], rows[i]};
    } else {
        uint8_t equal[kMostRanked] = {};
        size_t sum = 0;
        for (size_t i = 0; i < n; ++i) {
            const Hit hit{scores[i], rows[i]};
            size_t to = ranks[i] + equal[ranks[i]]++;
            sum += to;
            for (; to > ranks[i] && order_.before(hit, placed[to - 1]); --to) placed[to] = placed[to - 1];
            placed[to] = hit;
        }
        if (sum * 2 != n * (n - 1)) return false;
    }
    hits_.assign(placed, placed + std::min(n, k_));
    return true;
}

// A few hits together with those there are, each to its place: without the branches of insertion, of which most are
// guessed wrong. False where there are too many or hardly any.
bool TopK::push_ranked(const float* scores, const uint32_t* rows, size_t n, float limit) {
    constexpr size_t kLeast = 3;
    if (!in_order_ || n < kLeast || hits_.size() + n > kMostRanked) return false;
    float all[kMostRanked];
    uint32_t of[kMostRanked];
    size_t some = 0;
    for (; some < hits_.size(); ++some) all[some] = hits_[some].score, of[some] = hits_[some].row;
    for (size_t i = 0; i < n; ++i) {
        all[some] = scores[i], of[some] = rows[i];
        some += scores[i] <= limit;
    }
    if (!place(all, of, some)) return false;
    if (some >= k_) take_kth(hits_.back().score);
    return true;
}

bool TopK::sort_by_ranks() {
    if (k_ <= kMostRanked && hits_.size() > kMostRanked) shrink();
    const size_t n = hits_.size();
    if (n > kMostRanked) return false;
    float scores[kMostRanked];
    uint32_t rows[kMostRanked];
    for (size_t i = 0; i < n; ++i) scores[i] = hits_[i].score, rows[i] = hits_[i].row;
    return place(scores, rows, n);
}

void TopK::push(const float* scores, const uint32_t* rows, size_t n, float limit) {
    limit = std::min(limit, kth_);
    if (push_ranked(scores, rows, n, limit)) return;
    in_order_ = in_order_ && k_ <= kFewOfMany;
    if (in_order_) {
        for (size_t i = 0; i < n; ++i)
            if (scores[i] <= limit) push(scores[i], rows[i]);
        return;
    }
    size_t kept = hits_.size();
    hits_.resize(kept + n);
    for (size_t i = 0; i < n; ++i) {
        hits_[kept] = {scores[i], rows[i]};
        kept += scores[i] <= limit;
    }
    hits_.resize(kept);
    if (kept > k_ + k_ / 2 || (kept >= k_ && kth_ == std::numeric_limits<float>::infinity())) shrink();
}

void TopK::merge(const TopK& other) {
    for (const Hit& hit : other.hits_)
        if (hit.score <= kth_) push(hit.score, hit.row);
}

float TopK::nth(size_t n) {
    if (n > hits_.size()) return std::numeric_limits<float>::infinity();
    if (in_order_) return hits_[n - 1].score;
    const auto at = hits_.begin() + ptrdiff_t(n - 1);
    std::nth_element(hits_.begin(), at, hits_.end(), is_nearer);
    return at->score;
}

std::span<const Hit> TopK::sorted() {
    if (in_order_ || hits_.empty()) return hits_;
    if (!is_count(hits_[0].score) && (sort_by_ranks() || sort_by_buckets(hits_, k_, order_))) return hits_;
    shrink();
    if (order_.ids.empty() && hits_.size() >= kDigitsFrom && sort_by_digits(hits_)) return hits_;
    std::sort(hits_.begin(), hits_.end(), [this](const Hit& a, const Hit& b) { return order_.before(a, b); });
    return hits_;
}

}  // namespace annkit
