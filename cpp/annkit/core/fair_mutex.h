// A shared mutex in which a writer waits for the readers before it, not for those that come later. (Readers that follow
// each other closely keep std::shared_mutex of glibc shared for ever.)
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "annkit/core/errors.h"

namespace annkit {

class FairMutex {
  public:
    void lock() {
        check_not_mine();
        std::lock_guard turn(turn_);
        mutex_.lock();
        writer_ = std::this_thread::get_id();
    }
    void unlock() {
        writer_ = std::thread::id();
        mutex_.unlock();
    }
    void lock_shared() {
        check_not_mine();
        std::lock_guard turn(turn_);
        mutex_.lock_shared();
    }
    void unlock_shared() { mutex_.unlock_shared(); }

  private:
    // A writer's progress is reported to a callback, which may ask anything: it would wait for itself.
    void check_not_mine() const {
        check(writer_.load(std::memory_order_relaxed) != std::this_thread::get_id(),
              "the index is being changed by this very call: a progress callback cannot ask it");
    }

    std::mutex turn_;
    std::shared_mutex mutex_;
    std::atomic<std::thread::id> writer_{};
};

}  // namespace annkit
