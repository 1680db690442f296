// The k best hits of one query, or all within a radius. Ties go by id, so the answer does not depend on the order in
// which rows come, nor on how they are shared among threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "annkit/core/id_column.h"

namespace annkit {

struct Hit {
    float score;
    uint32_t row;
};

// How rows of equal score are ordered: by row, or by their ids where those do not rise with the rows.
struct TieOrder {
    IdView ids;  // none: ids rise with the rows
    // Rows are pushed in rising order. With rising ids a later row of equal score then loses, and scans need not see
    // it: with many duplicates, or small integers as scores, that is most of the hits.
    bool rows_rise = false;
    bool later_loses() const { return rows_rise && ids.empty(); }
    bool before(const Hit& a, const Hit& b) const {
        if (a.score != b.score) return a.score < b.score;
        return ids.empty() ? a.row < b.row : ids[a.row] < ids[b.row];
    }
};

class TopK {
  public:
    TopK(size_t k, TieOrder order);
    static TopK within(float radius, TieOrder order);  // no k: every hit with score <= radius

    const TieOrder& order() const { return order_; }
    // The same of rows that have other numbers; only while there are no hits.
    TopK reordered(TieOrder order) const {
        TopK other = *this;
        other.order_ = order;
        return other;
    }
    size_t limit() const { return k_; }  // k; SIZE_MAX without one
    // A hit above this can no longer enter by push. Scans compare with it before they push.
    float bound() const { return bound_; }
    float kth() const { return kth_; }  // the same for rows that come in any order
    void push(float score, uint32_t row) {
        if (hits_.empty()) reserve();
        if (in_order_) return insert({score, row});
        hits_.push_back({score, row});
        if (hits_.size() == capacity_) shrink();
    }
    // Those of n hits whose scores are at most `limit`. The bounds follow them, nearly.
    void push(const float* scores, const uint32_t* rows, size_t n, float limit);
    void merge(const TopK& other);  // its rows may come in any order
    // The score of the n-th best hit so far (from 1 on); infinity before there are so many.
    float nth(size_t n);
    // The hits, nearest first.
    std::span<const Hit> sorted();

  private:
    // So few hits are kept in order, and the bounds are always the best there are; if many come together, fewer.
    static constexpr size_t kFew = 64, kFewOfMany = 24;
    void reserve();  // with the first hit: a copy without any takes no memory
    void insert(Hit hit);
    // So few hits are put in order by counting, for each, those before it.
    static constexpr size_t kMostRanked = 128;
    bool push_ranked(const float* scores, const uint32_t* rows, size_t n, float limit);
    bool sort_by_ranks();
    bool place(const float* scores, const uint32_t* rows, size_t n);
    void shrink();  // keeps the k best, in no order
    void take_kth(float score);

    size_t k_, capacity_;
    float kth_ = std::numeric_limits<float>::infinity(), bound_ = kth_;
    TieOrder order_;
    bool in_order_;  // so are the hits
    std::vector<Hit> hits_;
};

}  // namespace annkit
