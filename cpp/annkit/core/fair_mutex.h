// A shared mutex in which a writer waits for the readers before it, not for those that come later. (Readers that follow
// each other closely keep std::shared_mutex of glibc shared for ever.)
#pragma once

#include <mutex>
#include <shared_mutex>

namespace annkit {

class FairMutex {
  public:
    void lock() {
        std::lock_guard turn(turn_);
        mutex_.lock();
    }
    void unlock() { mutex_.unlock(); }
    void lock_shared() {
        std::lock_guard turn(turn_);
        mutex_.lock_shared();
    }
    void unlock_shared() { mutex_.unlock_shared(); }

  private:
    std::mutex turn_;
    std::shared_mutex mutex_;
};

}  // namespace annkit
