// Parallel work in many short steps.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "annkit/core/parallel.h"

namespace annkit {

// Threads at hand for many short steps, one after the other: a step costs a microsecond, not the waking of threads, and
// waits for none that has not begun on it.
class Crew {
  public:
    using Step = std::function<void(size_t task)>;
    // Runs body(task) for every task, from the last to the first. Only whoever drives may call it; body may not throw.
    void run(size_t tasks, const Step& body);

  private:
    friend void with_crew(int threads, const Call& call, const std::function<void(Crew&)>& drive);
    explicit Crew(const Call& call) : call_(call) {}
    bool take(uint64_t state);
    void help();

    const Call& call_;
    const Step* body_ = nullptr;
    std::atomic<uint64_t> state_{0};  // the step's number, and in the lower half how many of its tasks nobody has taken
    std::atomic<size_t> done_{0};
    std::atomic<bool> over_{false};
};
// Runs drive on the calling thread, which polls between its steps.
void with_crew(int threads, const Call& call, const std::function<void(Crew&)>& drive);

}  // namespace annkit
