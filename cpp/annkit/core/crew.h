// Parallel work in many short steps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "annkit/core/parallel.h"

namespace annkit {

// Threads at hand for many short steps, one after the other: a step costs a microsecond, not the waking of threads, and
// waits for none that has not begun on it. Of steps of as many tasks a thread takes the same ones first, which leaves
// what they write in its cache; then it helps the others.
class Crew {
  public:
    using Step = std::function<void(size_t task)>;
    // Runs body(task) for every task; each thread goes from the last of its own to the first, and whoever drives has
    // the last of all. Only whoever drives may call it; body may not throw.
    void run(size_t tasks, const Step& body);

  private:
    friend void with_crew(int threads, const Call& call, const std::function<void(Crew&)>& drive);
    static constexpr size_t kMostShares = 64;

    explicit Crew(const Call& call) : call_(call) {}
    bool take(size_t end);
    void work(size_t share) const;
    void help(size_t thread, size_t threads);

    const Call& call_;
    // A step in one line, which goes to a helper once where there are few shares.
    alignas(64) std::atomic<uint64_t> left_{0};  // a bit for each share of the tasks that nobody has taken
    std::atomic<size_t> shares_{0};
    const Step* body_ = nullptr;
    size_t tasks_ = 0;
    std::atomic<bool> over_{false};
    alignas(64) std::atomic<size_t> done_{0};
};
// Runs drive on the calling thread, which polls between its steps.
void with_crew(int threads, const Call& call, const std::function<void(Crew&)>& drive);

}  // namespace annkit
