// Which of many numbers have been met. Starting anew costs nothing but every 255th time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace annkit {

class Marks {
  public:
    void start(size_t n) {  // numbers below n
        if (marks_.size() < n) marks_.resize(n, round_);
        if (++round_ != 0) return;
        std::fill(marks_.begin(), marks_.end(), uint8_t(0));
        round_ = 1;
    }
    // True the first time.
    bool mark(uint32_t i) {
        const bool fresh = marks_[i] != round_;
        marks_[i] = round_;
        return fresh;
    }
    void unmark(uint32_t i) { marks_[i] = 0; }
    bool met(uint32_t i) const { return marks_[i] == round_; }

    // For loops that do both themselves: what has been met equals round().
    uint8_t* data() { return marks_.data(); }
    uint8_t round() const { return round_; }

  private:
    std::vector<uint8_t> marks_;
    uint8_t round_ = 0;
};

}  // namespace annkit
