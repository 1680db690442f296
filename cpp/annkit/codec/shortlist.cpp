#include "annkit/codec/shortlist.h"

#include <algorithm>
#include <cmath>

#include "annkit/core/score_bound.h"
#include "annkit/simd/kernels.h"

namespace annkit {
namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();
}

// For small k a dozen more, so that a call of nth_element pays; for range search (no k) blocks worth a gather.
Shortlist::Shortlist(const TopK& empty, size_t threads)
    : top_(empty),
      k_(empty.limit()),
      step_(k_ == SIZE_MAX ? 1024 : std::max<size_t>(k_, 32)),
      most_(k_ == SIZE_MAX ? 0 : k_ + std::max<size_t>(k_ > kFew ? k_ : k_ / 2, 24)),
      next_(k_ == SIZE_MAX ? step_ : k_ + step_),
      part_(k_ == SIZE_MAX ? k_ : (k_ + threads - 1) / threads),
      later_loses_(empty.order().later_loses()),
      limit_(empty.bound()),
      bound_(empty.bound()) {}

void Shortlist::reserve() {
    constexpr size_t kMost = 128;
    pending_.reserve(std::min(most_ + step_, kMost));
    if (k_ <= kFew) uppers_.reserve(k_);
}

void Shortlist::insert_upper(float upper) {
    if (uppers_.size() < k_)
        uppers_.push_back(upper);
    else
        uppers_.back() = upper;
    size_t i = uppers_.size() - 1;
    for (; i > 0 && uppers_[i - 1] > upper; --i) uppers_[i] = uppers_[i - 1];
    uppers_[i] = upper;
    if (part_ < k_ && part_ <= uppers_.size()) share_ = std::min(share_, uppers_[part_ - 1]);
    if (uppers_.size() < k_) return;
    const float kth = uppers_.back();
    limit_ = std::min(limit_, kth);
    // Where scores are exact, a later row of the same score loses.
    bound_ = std::min(bound_, width_ == 0 && later_loses_ ? std::nextafter(kth, -kInfinity) : limit_);
}

void Shortlist::find_limits() {
    constexpr size_t kSlack = 8;  // so many more of a hundred than k may be within the bound
    lowers_.resize(pending_.size());
    for (size_t i = 0; i < pending_.size(); ++i) lowers_[i] = pending_[i].lower;
    // k rows have scores up to here
    const float upper = bound_with(lowers_, k_, k_ + k_ * kSlack / 100) + width_;
    if (part_ < k_) {
        const float part = bound_with(lowers_, part_, part_ + part_ * kSlack / 100) + width_;
        share_ = std::min(share_, std::nextafter(part, kInfinity));
    }
    if (width_ == 0) {  // scores are exact
        limit_ = std::min(limit_, upper);
        bound_ = std::min(bound_, later_loses_ ? std::nextafter(upper, -kInfinity) : upper);
    } else {  // the next float covers the rounding of the sum
        limit_ = std::min(limit_, std::nextafter(upper, kInfinity));
        bound_ = std::min(bound_, limit_);
    }
}

// lowers_ are those of pending_.
void Shortlist::keep_within_limit() {
    constexpr size_t kBlock = 256;
    uint32_t near[kBlock];
    size_t kept = 0;
    for (size_t first = 0; first < pending_.size(); first += kBlock) {
        const size_t n = std::min(kBlock, pending_.size() - first);
        const size_t found = simd::kernels().select(&lowers_[first], n, limit_, near);
        for (size_t i = 0; i < found; ++i) pending_[kept++] = pending_[first + near[i]];
    }
    pending_.resize(kept);
}

bool Shortlist::narrow() {
    if (k_ > kFew && pending_.size() > k_) {
        find_limits();
        keep_within_limit();
    } else {
        std::erase_if(pending_, [this](const Candidate& candidate) { return candidate.lower > limit_; });
    }
    next_ = pending_.size() + step_;
    return pending_.size() > most_;
}

}  // namespace annkit
