#include "annkit/core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

#include "annkit/core/crew.h"

namespace annkit {
namespace {

std::atomic<int> chosen_threads{0};
std::atomic<bool> ran_parallel{false}, forked{false};

#if defined(__linux__)
// Version 2 of cgroups: "quota period" or "max period".
double cgroup_cpus() {
    std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file == nullptr) return 1e9;
    double quota = 0, period = 0;
    const int read = std::fscanf(file, "%lf %lf", &quota, &period);
    std::fclose(file);
    return read == 2 && quota > 0 && period > 0 ? quota / period : 1e9;
}

int allowed_cpus() {
    cpu_set_t set;
    const int affinity = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : omp_get_num_procs();
    return std::max(1, int(std::min<double>(affinity, std::ceil(cgroup_cpus()))));
}

// libgomp's threads do not survive a fork, and a child that waits for them hangs: it works alone instead.
void watch_forks() {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { forked = ran_parallel.load(); }); });
}
#else
int allowed_cpus() { return std::max(1, omp_get_num_procs()); }
void watch_forks() {}
#endif

// Polls at most so often: taking the interpreter's lock costs, and a key press is answered within 50 ms. The time of
// the last poll belongs to the monitor, as a long call may be many short runs.
constexpr auto kPollEvery = std::chrono::milliseconds(15);
constexpr size_t kSpins = 256;  // before a thread that waits lets others have its processor

class Pace {
  public:
    explicit Pace(const Call& call, size_t total) : monitor_(call.monitor), total_(total) {}
    void step(size_t done) {
        if (monitor_ == nullptr) return;
        const auto now = coarse_now();
        if (now - monitor_->polled < kPollEvery) return;
        monitor_->polled = now;
        monitor_->progress(done, total_);
        monitor_->poll();
    }

  private:
    Monitor* monitor_;
    size_t total_;
};

void work_alone(size_t tasks, const Call& call, Task body) {
    Pace pace(call, tasks);
    for (size_t task = 0; task < tasks; ++task) {
        body(task, 0);
        pace.step(task + 1);
    }
}

// Tasks that are handed out in rising order.
struct alignas(64) Stretch {
    std::atomic<size_t> next;
    size_t last;
};

struct Shared {
    std::vector<Stretch> stretches;
    std::atomic<size_t> done{0};
    std::atomic<bool> stop{false};
    std::exception_ptr error;
    std::mutex mutex;
};

void work(Shared& shared, size_t tasks, int thread, const Call& call, Task body) noexcept {
    Pace pace(call, tasks);
    const size_t stretches = shared.stretches.size();
    try {
        for (size_t s = 0; s < stretches; ++s) {
            Stretch& stretch = shared.stretches[(size_t(thread) + s) % stretches];
            while (!shared.stop.load(std::memory_order_relaxed)) {
                const size_t task = stretch.next.fetch_add(1, std::memory_order_relaxed);
                if (task >= stretch.last) break;
                body(task, thread);
                if (call.monitor == nullptr) continue;
                const size_t done = shared.done.fetch_add(1, std::memory_order_relaxed);
                if (thread == 0) pace.step(done + 1);
            }
        }
    } catch (...) {
        std::lock_guard lock(shared.mutex);
        if (!shared.error) shared.error = std::current_exception();
        shared.stop = true;
    }
}

void run(size_t tasks, int threads, size_t stretches, const Call& call, Task body) {
    Shared shared;
    shared.stretches = std::vector<Stretch>(stretches);
    for (size_t s = 0; s < stretches; ++s) {
        shared.stretches[s].next = s * tasks / stretches;
        shared.stretches[s].last = (s + 1) * tasks / stretches;
    }
    watch_forks();
    ran_parallel = true;
#pragma omp parallel num_threads(threads)
    work(shared, tasks, omp_get_thread_num(), call, body);
    if (shared.error) std::rethrow_exception(shared.error);
}

int threads_of(size_t tasks, int threads) {
    return forked ? 1 : int(std::min<size_t>(size_t(std::max(threads, 1)), tasks));
}

// What other threads ask instead of the monitor: whether a thread has failed, or been stopped.
class Follower final : public Monitor {
  public:
    explicit Follower(const std::atomic<bool>& failed) : failed_(failed) {}
    void poll() override {
        if (failed_) throw Stopped();
    }
    void progress(size_t, size_t) override {}

    struct Stopped {};

  private:
    const std::atomic<bool>& failed_;
};

}  // namespace

std::chrono::steady_clock::time_point coarse_now() {
#if defined(__linux__)
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return std::chrono::steady_clock::time_point(std::chrono::seconds(now.tv_sec) +
                                                 std::chrono::nanoseconds(now.tv_nsec));
#else
    return std::chrono::steady_clock::now();
#endif
}

void set_threads(int n) { chosen_threads = n; }

int default_threads() {
    if (const int chosen = chosen_threads) return chosen;
    static const int machine = [] {
        const char* wanted = std::getenv("OMP_NUM_THREADS");
        const int n = wanted == nullptr ? 0 : std::atoi(wanted);
        return n > 0 ? n : allowed_cpus();
    }();
    return machine;
}

int threads_for(const Call& call, double work) {
    // Waking the other threads takes 5 to 50 us; below this much work per thread that does not pay.
    constexpr double kWorth = 2e6;
    const int most = call.threads > 0 ? call.threads : default_threads();
    return std::clamp(int(std::min(work / kWorth, 1e6)), 1, most);
}

void parallel_for(size_t tasks, int threads, const Call& call, Task body) {
    threads = threads_of(tasks, threads);
    if (threads <= 1) return work_alone(tasks, call, body);
    run(tasks, threads, 1, call, body);
}

void parallel_apart(size_t tasks, int threads, const Call& call, Task body) {
    threads = threads_of(tasks, threads);
    if (threads <= 1) return work_alone(tasks, call, body);
    run(tasks, threads, size_t(threads), call, body);
}

// The share that is left before a thread's own end, or the last of all. Where the same are left in a later step, it is
// one of that step's.
bool Crew::take(size_t end) {
    uint64_t left = left_.load(std::memory_order_acquire);
    if (left == 0) return false;
    const uint64_t own = end < kMostShares ? left & ((uint64_t(1) << end) - 1) : left;
    const auto share = size_t(std::bit_width(own != 0 ? own : left) - 1);
    if (!left_.compare_exchange_strong(left, left & ~(uint64_t(1) << share), std::memory_order_acq_rel)) return true;
    work(share);  // the step cannot end before it has
    done_.fetch_add(1, std::memory_order_release);
    return true;
}

void Crew::work(size_t share) const {
    const size_t shares = shares_.load(std::memory_order_relaxed), first = share * tasks_ / shares;
    for (size_t task = (share + 1) * tasks_ / shares; task-- > first;) (*body_)(task);
}

void Crew::run(size_t tasks, const Step& body) {
    const size_t shares = std::min(tasks, kMostShares);
    if (tasks == 0) return;
    body_ = &body, tasks_ = tasks;
    shares_.store(shares, std::memory_order_relaxed);
    done_.store(1, std::memory_order_relaxed);
    left_.store((uint64_t(1) << (shares - 1)) - 1, std::memory_order_release);
    work(shares - 1);  // nobody else's
    while (take(shares)) {
    }
    for (size_t spins = 1; done_.load(std::memory_order_acquire) < shares; ++spins)
        if (spins % kSpins == 0) std::this_thread::yield();
    if (call_.monitor == nullptr) return;
    const auto now = coarse_now();
    if (now - call_.monitor->polled < kPollEvery) return;
    call_.monitor->polled = now;
    call_.monitor->poll();
}

void Crew::help(size_t thread, size_t threads) {
    for (size_t spins = 1; !over_.load(std::memory_order_acquire); ++spins) {
        const size_t end = shares_.load(std::memory_order_relaxed) * (threads - thread) / threads;
        if (!take(end) && spins % kSpins == 0) std::this_thread::yield();
    }
}

void with_crew(int threads, const Call& call, const std::function<void(Crew&)>& drive) {
    Crew crew(call);
    if (threads <= 1 || forked) return drive(crew);
    watch_forks();
    ran_parallel = true;
    std::exception_ptr error;
#pragma omp parallel num_threads(threads)
    {
        if (omp_get_thread_num() > 0) {
            crew.help(size_t(omp_get_thread_num()), size_t(omp_get_num_threads()));
        } else {
            try {
                drive(crew);
            } catch (...) {
                error = std::current_exception();
            }
            crew.over_ = true;
        }
    }
    if (error) std::rethrow_exception(error);
}

void parallel_calls(size_t n, size_t block, int threads, const Call& call, PartOfCall body) {
    std::atomic<bool> failed{false};
    parallel_apart((n + block - 1) / block, threads, call, [&](size_t task, int thread) {
        if (failed) return;
        Follower follower(failed);
        const size_t first = task * block;
        try {
            body(first, std::min(block, n - first), {1, thread == 0 ? call.monitor : &follower});
        } catch (const Follower::Stopped&) {  // the reason is another thread's to tell
        } catch (...) {
            failed = true;
            throw;
        }
    });
}

}  // namespace annkit
