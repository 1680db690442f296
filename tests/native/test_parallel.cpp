// Tasks that threads share: each runs once, in either order, and what one throws comes out.
#include <atomic>
#include <vector>

#include "annkit/core/crew.h"
#include "annkit/core/errors.h"
#include "annkit/core/parallel.h"
#include "checks.h"

namespace {

using namespace annkit;

using Run = void (*)(size_t tasks, int threads, const Call& call, Task body);

void each_task_runs_once(Run run, const char* what) {
    for (const size_t tasks : {0, 1, 2, 3, 7, 64, 1000})
        for (const int threads : {1, 2, 3, 8}) {
            std::vector<std::atomic<int>> ran(tasks);
            run(tasks, threads, {}, [&](size_t task, int) { ++ran[task]; });
            size_t once = 0;
            for (const auto& times : ran) once += times == 1;
            checks::expect(once == tasks, concat(what, ": ", tasks, " tasks by ", threads, " threads"));
        }
}

void an_error_ends_the_work(Run run, const char* what) {
    constexpr size_t kTasks = 100'000, kBad = 10;
    for (const int threads : {1, 2, 3}) {
        std::atomic<size_t> ran = 0;
        const auto fails = [&](size_t task, int) {
            ++ran;
            check(task % kTasks != kBad, "task ", task);
        };
        checks::expect_throw<ValueError>([&] { run(kTasks, threads, {}, fails); }, what, "task 10");
        checks::expect(threads > 1 || ran == kBad + 1, concat(what, ": tasks ran after one had failed"));
    }
}

// Of more and fewer tasks than there are bits for them, each step after the one before.
void each_task_of_a_crew_runs_once() {
    constexpr size_t kMost = 1000;
    for (const int threads : {1, 2, 3, 8}) {
        std::vector<std::atomic<size_t>> ran(kMost);
        bool right = true;
        with_crew(threads, {}, [&](Crew& crew) {
            for (size_t step = 0; step < 200; ++step)
                for (const size_t tasks : {size_t(0), size_t(1), size_t(2), size_t(64), size_t(65), kMost}) {
                    for (auto& times : ran) times = 0;
                    crew.run(tasks, [&](size_t task) { ++ran[task]; });
                    for (size_t i = 0; i < kMost; ++i) right = right && ran[i] == (i < tasks ? 1 : 0);
                }
        });
        checks::expect(right, concat("a crew of ", threads));
    }
}

}  // namespace

int main() {
    each_task_runs_once(parallel_for, "parallel_for");
    each_task_runs_once(parallel_apart, "parallel_apart");
    an_error_ends_the_work(parallel_for, "parallel_for");
    an_error_ends_the_work(parallel_apart, "parallel_apart");
    each_task_of_a_crew_runs_once();
    return checks::summary("parallel");
}
