#include "annkit/codec/shortlist.h"

#include <algorithm>
#include <cmath>

namespace annkit {
namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();
}

// For small k a dozen more, so that a call of nth_element pays; for range search (no k) blocks worth a gather.
Shortlist::Shortlist(const TopK& empty, size_t threads)
    : top_(empty),
      k_(empty.limit()),
      step_(k_ == SIZE_MAX ? 1024 : std::max<size_t>(k_, 32)),
      most_(k_ == SIZE_MAX ? 0 : k_ + std::max<size_t>(k_ / 2, 24)),
      next_(k_ == SIZE_MAX ? step_ : k_ + step_),
      part_(k_ == SIZE_MAX ? k_ : (k_ + threads - 1) / threads),
      later_loses_(empty.order().later_loses()),
      limit_(empty.bound()),
      bound_(empty.bound()) {
    pending_.reserve(std::min<size_t>(most_ + step_, 128));
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
    const auto nearer = [](const Candidate& a, const Candidate& b) { return a.lower < b.lower; };
    const auto kth = pending_.begin() + ptrdiff_t(k_ - 1);
    std::nth_element(pending_.begin(), kth, pending_.end(), nearer);
    // k rows have scores up to here
    const float upper = kth->lower + width_;
    if (part_ < k_) {
        const auto last = pending_.begin() + ptrdiff_t(part_ - 1);
        std::nth_element(pending_.begin(), last, kth, nearer);
        share_ = std::min(share_, std::nextafter(last->lower + width_, kInfinity));
    }
    if (width_ == 0) {  // scores are exact
        limit_ = std::min(limit_, upper);
        bound_ = std::min(bound_, later_loses_ ? std::nextafter(upper, -kInfinity) : upper);
    } else {  // the next float covers the rounding of the sum
        limit_ = std::min(limit_, std::nextafter(upper, kInfinity));
        bound_ = std::min(bound_, limit_);
    }
}

bool Shortlist::narrow() {
    if (k_ > kFew && pending_.size() > k_) find_limits();
    std::erase_if(pending_, [this](const Candidate& candidate) { return candidate.lower > limit_; });
    next_ = pending_.size() + step_;
    return pending_.size() > most_;
}

}  // namespace annkit
