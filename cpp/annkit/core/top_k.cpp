#include "annkit/core/top_k.h"

#include <algorithm>
#include <cmath>

namespace annkit {

// Twice k: shrinking costs a few operations a hit. For small k a little more, so that a call of nth_element pays.
TopK::TopK(size_t k, TieOrder order) : k_(k), capacity_(k + std::max<size_t>(k, 24)), order_(order) {
    hits_.reserve(std::min<size_t>(capacity_, 256));
}

TopK TopK::within(float radius, TieOrder order) {
    TopK all(0, order);
    all.k_ = all.capacity_ = SIZE_MAX;
    all.kth_ = all.bound_ = radius;
    return all;
}

void TopK::shrink() {
    if (hits_.size() <= k_) return;
    const auto kth = hits_.begin() + ptrdiff_t(k_ - 1);
    std::nth_element(hits_.begin(), kth, hits_.end(),
                     [this](const Hit& a, const Hit& b) { return order_.before(a, b); });
    take_kth(*kth);
    hits_.resize(k_);
}

void TopK::take_kth(const Hit& kth) {
    kth_ = kth.score;
    bound_ = order_.later_loses() ? std::nextafter(kth_, -std::numeric_limits<float>::infinity()) : kth_;
}

void TopK::insert(Hit hit) {
    if (hits_.size() < k_)
        hits_.push_back(hit);
    else if (!order_.before(hit, hits_.back()))
        return;
    size_t i = hits_.size() - 1;
    for (; i > 0 && order_.before(hit, hits_[i - 1]); --i) hits_[i] = hits_[i - 1];
    hits_[i] = hit;
    if (hits_.size() == k_) take_kth(hits_.back());
}

void TopK::merge(const TopK& other) {
    for (const Hit& hit : other.hits_)
        if (hit.score <= kth_) push(hit.score, hit.row);
}

float TopK::nth(size_t n) {
    if (n > hits_.size()) return std::numeric_limits<float>::infinity();
    if (k_ <= kFew) return hits_[n - 1].score;
    const auto at = hits_.begin() + ptrdiff_t(n - 1);
    std::nth_element(hits_.begin(), at, hits_.end(), [](const Hit& a, const Hit& b) { return a.score < b.score; });
    return at->score;
}

std::span<const Hit> TopK::sorted() {
    if (k_ <= kFew) return hits_;
    shrink();
    std::sort(hits_.begin(), hits_.end(), [this](const Hit& a, const Hit& b) { return order_.before(a, b); });
    return hits_;
}

}  // namespace annkit
