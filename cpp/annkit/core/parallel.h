// Parallel work: the only door to OpenMP. Exceptions cross it, small work stays serial, a forked child works alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

#include "annkit/core/function_ref.h"

namespace annkit {

// The time to a few milliseconds, in a sixth of what steady_clock::now() takes.
std::chrono::steady_clock::time_point coarse_now();

// What a long call asks back while it runs; always from the thread that made the call.
class Monitor {
  public:
    virtual ~Monitor() = default;
    virtual void poll() = 0;  // throws to stop the work
    virtual void progress(size_t done, size_t total) = 0;
    // Of what works, but hardly as meant; throws to stop the work.
    virtual void warn(std::string_view) {}
    std::chrono::steady_clock::time_point polled = coarse_now();
};

// A part of a long call: its progress fills the stretch from one share of the whole to another.
class Phase final : public Monitor {
  public:
    // Goes on at the pace of the whole: phases may be short.
    Phase(Monitor* whole, double from, double to) : whole_(whole), from_(from), to_(to) {
        if (whole != nullptr) polled = whole->polled;
    }
    void poll() override {
        whole_->polled = polled;
        whole_->poll();
    }
    void warn(std::string_view message) override { whole_->warn(message); }
    void progress(size_t done, size_t total) override {
        constexpr double kParts = 1e6;
        const double share = total == 0 ? 0 : double(done) / double(total);
        whole_->progress(size_t(kParts * (from_ + (to_ - from_) * share)), size_t(kParts));
    }
    Monitor* monitor() { return whole_ != nullptr ? this : nullptr; }

  private:
    Monitor* whole_;
    double from_, to_;
};

struct Call {
    int threads = 0;  // 0: the default
    Monitor* monitor = nullptr;
};

void set_threads(int n);  // 0: as many as this process may use (OMP_NUM_THREADS, affinity, cgroup)
int default_threads();

// Threads worth starting for so much work, in multiply-adds or the like.
int threads_for(const Call& call, double work);

// Runs body(task, thread) for every task, handed out in rising order. The calling thread is thread 0 and polls between
// its tasks, so a task should take milliseconds at most. The first exception of any thread ends the work and is thrown.
using Task = FunctionRef<void(size_t task, int thread)>;
void parallel_for(size_t tasks, int threads, const Call& call, Task body);
// The same in another order: each thread begins with a stretch of the tasks, of as many tasks and threads always the
// same, and then helps the others. What a pass leaves in a thread's cache the next one finds there, and new pages are
// touched by one thread each.
void parallel_apart(size_t tasks, int threads, const Call& call, Task body);

// parallel_apart of n things in blocks, each of which is a call of its own and the work of one thread: runs
// body(first, count, part).
using PartOfCall = FunctionRef<void(size_t first, size_t count, const Call& part)>;
void parallel_calls(size_t n, size_t block, int threads, const Call& call, PartOfCall body);

// parallel_apart of n things in blocks: runs body(first, count).
template <class Body>
void parallel_blocks(size_t n, size_t block, int threads, const Call& call, Body&& body) {
    parallel_apart((n + block - 1) / block, threads, call, [&](size_t task, int) {
        const size_t first = task * block;
        body(first, block < n - first ? block : n - first);
    });
}

}  // namespace annkit
