// The candidates of one query while its scores are known only up to a slack: it keeps what can still be among the k
// best, and asks for a canonical score only where that cannot be decided otherwise.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "annkit/core/top_k.h"

namespace annkit {

class Shortlist {
  public:
    // threads: that collect for the query, for share().
    explicit Shortlist(const TopK& empty, size_t threads = 1);

    // Rows behind all seen so far are out if their lower bound is above bound(), any row if it is above limit().
    float bound() const { return bound_; }
    float limit() const { return limit_; }
    // So many of its rows have scores up to here that those of all threads together are at least k.
    float share() const { return share_; }
    // k rows with scores up to here are known elsewhere: what is above them is out.
    void tighten(float limit) {
        limit_ = limit < limit_ ? limit : limit_;
        bound_ = limit < bound_ ? limit : bound_;
    }
    // Of a row whose score is from lower to lower + width: rounded up, since the sum is rounded, too.
    static float upper_of(float lower, float width) {
        if (width == 0) return lower;
        const float upper = lower + width + (std::abs(lower) + width) * kUp;
        return upper == upper ? upper : std::numeric_limits<float>::infinity();  // nothing is known of huge ones
    }
    // lower <= the row's score <= lower + width. place: whatever score needs to find the row.
    template <class Score>
    void push(float lower, float width, uint32_t row, uint32_t place, Score&& score) {
        width_ = width > width_ ? width : width_;
        if (pending_.capacity() == 0) reserve();
        pending_.push_back({lower, row, place});
        if (k_ <= kFew) keep_upper(lower, width);
        if (pending_.size() >= next_ && narrow()) decide(score);
    }
    // The same of n rows with lower(i) and row(i), for k above kFew.
    template <class Lower, class Row, class Score>
    void push(size_t n, float width, Lower&& lower, Row&& row, uint32_t place, Score&& score) {
        width_ = width > width_ ? width : width_;
        const size_t before = pending_.size();
        pending_.resize(before + n);
        for (size_t i = 0; i < n; ++i) pending_[before + i] = {lower(i), row(i), place};
        if (pending_.size() >= next_ && narrow()) decide(score);
    }
    // A canonical score.
    void push_exact(float score, uint32_t row) {
        if (!(score <= top_.kth() && score <= limit_)) return;
        top_.push(score, row);
        take_bounds();
    }
    void push_exact(const float* scores, const uint32_t* rows, size_t n) {
        top_.push(scores, rows, n, limit_);
        take_bounds();
    }
    // score(rows, places, n, out) gives canonical scores, and may replace what stood for rows by their numbers.
    template <class Score>
    void settle(Score&& score) {
        if (pending_.empty()) return;
        narrow();
        decide(score);
    }
    template <class Score>
    TopK& finish(Score&& score) {
        settle(score);
        return top_;
    }

    // For so few hits the best upper bounds are kept in order as rows come; for more, they are found now and then.
    static constexpr size_t kFew = 64;

  private:
    void reserve();  // for the first row that waits
    bool narrow();   // drops what is out; true if too many are left undecided
    void find_limits();
    void keep_within_limit();
    void keep_upper(float lower, float width) {
        const float upper = upper_of(lower, width);
        if (uppers_.size() == k_ && !(upper < uppers_.back())) return;
        insert_upper(upper);
    }
    void insert_upper(float upper);
    template <class Score>
    void decide(Score&& score) {
        constexpr size_t kBlock = 64;
        uint32_t rows[kBlock], places[kBlock];
        float scores[kBlock];
        for (size_t first = 0; first < pending_.size(); first += kBlock) {
            const size_t n = pending_.size() - first < kBlock ? pending_.size() - first : kBlock;
            for (size_t i = 0; i < n; ++i) rows[i] = pending_[first + i].row, places[i] = pending_[first + i].place;
            score(rows, places, n, scores);
            // A bound that holds with high probability only (RaBitQ's) counts as the score where it is larger: then it
            // does not matter whether a row was left out by its bound or met.
            for (size_t i = 0; i < n; ++i) {
                const float score_of = std::max(scores[i], pending_[first + i].lower);
                if (score_of <= top_.kth()) top_.push(score_of, rows[i]);
            }
        }
        pending_.clear();
        next_ = most_ + step_;  // bounds are sharp now: what comes will hardly be told apart without scores
        width_ = 0;
        take_bounds();
        if (part_ < k_) share_ = std::min(share_, top_.nth(part_));
    }
    void take_bounds() {
        bound_ = top_.bound() < bound_ ? top_.bound() : bound_;
        limit_ = top_.kth() < limit_ ? top_.kth() : limit_;
    }

    TopK top_;
    size_t k_;
    size_t step_, most_, next_;  // narrows every so many hits, and decides where more than most are left
    size_t part_;                // of k, for each thread
    bool later_loses_;
    float share_ = std::numeric_limits<float>::infinity();
    float limit_, bound_, width_ = 0;  // limit_: for rows that are pending, bound_: for rows to come
    struct Candidate {
        float lower;
        uint32_t row, place;
    };
    std::vector<Candidate> pending_;
    static constexpr float kUp = 2 * std::numeric_limits<float>::epsilon();
    std::vector<float> lowers_;  // of pending_
    std::vector<float> uppers_;  // of the k best so far, rising
};

}  // namespace annkit
