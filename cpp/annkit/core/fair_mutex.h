// A shared mutex in which a writer waits for the readers before it, not for those that come later, and no reader waits
// for more than one writer. (Readers that follow each other closely keep std::shared_mutex of glibc shared for ever.)
// Where nobody writes, a reader comes and goes by one atomic addition each.
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
        const std::lock_guard turn(turn_);
        wait_until([](unsigned state) { return (state & kWriter) == 0; });
        state_.fetch_or(kWriter);
        wait_until([](unsigned state) { return state == kWriter; });
        writer_ = std::this_thread::get_id();
    }
    void unlock() {
        writer_ = std::thread::id();
        state_.fetch_and(~kWriter);
        state_.notify_all();
    }
    void lock_shared() {
        if (try_lock_shared()) return;
        check_not_mine();
        const std::lock_guard turn(turn_);  // the next writer comes behind
        wait_until([](unsigned state) { return (state & kWriter) == 0; });
        state_.fetch_add(1);
    }
    bool try_lock_shared() {
        if ((state_.fetch_add(1) & kWriter) == 0) return true;
        unlock_shared();
        return false;
    }
    void unlock_shared() {
        if (state_.fetch_sub(1) == kWriter + 1) state_.notify_all();
    }

  private:
    static constexpr unsigned kWriter = 1u << 31;  // besides it, how many readers there are

    // A writer's progress is reported to a callback, which may ask anything: it would wait for itself.
    void check_not_mine() const {
        check(writer_.load(std::memory_order_relaxed) != std::this_thread::get_id(),
              "the index is being changed by this very call: a progress callback cannot ask it");
    }
    template <class Ready>
    void wait_until(const Ready& ready) {
        for (unsigned state = state_; !ready(state); state = state_) state_.wait(state);
    }

    std::mutex turn_;
    std::atomic<unsigned> state_{0};
    std::atomic<std::thread::id> writer_{};
};

}  // namespace annkit
