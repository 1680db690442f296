// What takes long to make, lent to one thread at a time and used again.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace annkit {

template <class T>
class Pool {
  public:
    std::unique_ptr<T> take() {
        return take([] { return std::make_unique<T>(); });
    }
    // make: what makes one where none is idle.
    template <class Make>
    std::unique_ptr<T> take(const Make& make) {
        std::lock_guard lock(mutex_);
        if (idle_.empty()) return make();
        auto one = std::move(idle_.back());
        idle_.pop_back();
        return one;
    }
    void give_back(std::unique_ptr<T> one) noexcept {
        std::lock_guard lock(mutex_);
        try {
            idle_.push_back(std::move(one));
        } catch (const std::bad_alloc&) {  // the next one is made anew
        }
    }
    void clear() {
        std::lock_guard lock(mutex_);
        idle_.clear();
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace annkit
