// Searches, additions and removals beside each other, from threads of the caller's own.
#include <atomic>
#include <thread>

#include "annkit/codec/product.h"
#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/core/errors.h"
#include "annkit/core/fair_mutex.h"
#include "annkit/core/random.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/ivf.h"
#include "annkit/index/lsh_tables.h"
#include "annkit/index/pipeline.h"
#include "annkit/index/refine.h"
#include "annkit/registry.h"
#include "annkit/transform/rotation.h"
#include "checks.h"

namespace {

using namespace annkit;

// Readers find their own row, whatever comes and goes meanwhile.
void changes_beside_searches(Index& index, const char* what) {
    constexpr size_t kDim = 24, kRows = 300, kRounds = 60;
    std::vector<float> rows(kRows * kDim);
    Random random(1);
    for (float& x : rows) x = float(random.normal());
    const Rows all = Rows::of(rows.data(), kRows, kDim);
    index.fit(all, {0, {.threads = 1}});
    index.add(all, std::nullopt, false, {.threads = 1});

    std::atomic<bool> done = false;
    std::atomic<size_t> wrong = 0, searches = 0;
    std::vector<std::thread> readers;
    for (size_t t = 0; t < 3; ++t)
        readers.emplace_back([&, t] {
            for (size_t at = t; !done; at = (at + 7) % kRows) {
                float distance[2];
                int64_t id[2];
                index.search(Rows::of(&rows[at * kDim], 1, kDim), 2,
                             {{}, {.ef = 4 * kRows, .k_factor = 1}, {.threads = 1}}, {distance, nullptr, id});
                wrong += id[0] != int64_t(at) || id[1] < 0;
                ++searches;
            }
        });
    // The first rows stay; copies of them come, lose every tie by their later ids, and go.
    for (size_t round = 0; round < kRounds || (searches <= kRounds && round < 100 * kRounds); ++round) {
        std::vector<int64_t> ids(kRows);
        for (size_t i = 0; i < kRows; ++i) ids[i] = int64_t((round + 1) * kRows + i);
        index.add(all, ids, false, {.threads = 1});
        if (round % 4 == 0) index.add(all, ids, true, {.threads = 1});
        if (round % 8 == 0) index.compact({1, nullptr});
        index.remove(ids, {1, nullptr});
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
    checks::expect(wrong == 0, concat(what, ": a search beside changes found another row than its own"));
    checks::expect(searches > kRounds, concat(what, ": searches ran beside the changes"));
    checks::expect(index.size() == kRows, concat(what, ": the rows that came have gone"));
}

// What an index is asked goes by what it has learned, one time or the next.
void questions_beside_learning(Index& index, const char* what) {
    constexpr size_t kDim = 16, kRows = 200, kRounds = 40;
    std::vector<float> rows(kRows * kDim);
    Random random(2);
    for (float& x : rows) x = float(random.normal());
    const Rows all = Rows::of(rows.data(), kRows, kDim);
    const std::string word = index.repr();
    std::atomic<bool> done = false;
    std::atomic<size_t> wrong = 0;
    std::thread asking([&] {
        while (!done) {
            float distance;
            int64_t id = 0;
            {
                const auto held = index.hold_for_reading();
                wrong += index.repr() != word;
            }
            wrong += index.query_type(Dtype::f32) != Dtype::f32 || index.decoded() != Dtype::f32;
            if (!index.is_fitted()) continue;
            index.search(all.slice(0, 1), 1, {{}, {}, {.threads = 1}}, {&distance, nullptr, &id});
            wrong += id != -1;
        }
    });
    for (size_t round = 0; round < kRounds; ++round) index.fit(all, {round, {.threads = 1}});
    done = true;
    asking.join();
    checks::expect(wrong == 0, concat(what, ": it answers otherwise while it learns"));
}

std::unique_ptr<Index> behind_rotation(const Index& index) {
    std::vector<std::unique_ptr<Transform>> transforms;
    transforms.push_back(std::make_unique<Rotation>(0, false));
    return std::make_unique<Pipeline>(std::move(transforms), index.clone());
}

// Two numbers that writers change one after the other, and nobody may see apart.
void readers_and_writers() {
    FairMutex mutex;
    uint64_t first = 0, second = 0;
    std::atomic<size_t> apart = 0, reads = 0;
    constexpr size_t kThreads = 4, kRounds = 20'000;
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (size_t round = 0; round < kRounds; ++round) {
                if ((round + t) % 3 == 0) {
                    const std::lock_guard lock(mutex);
                    ++first;
                    if (round % 64 == 0) std::this_thread::yield();
                    ++second;
                    continue;
                }
                std::shared_lock lock(mutex, std::defer_lock);
                if (round % 2 == 0 || !lock.try_lock()) lock.lock();
                apart += first != second;
                ++reads;
            }
        });
    for (std::thread& thread : threads) thread.join();
    checks::expect(apart == 0, "readers saw a change in its middle");
    checks::expect(first == kThreads * kRounds - reads && second == first, "each writer was alone");
}

}  // namespace

int main() {
    register_parts();
    readers_and_writers();
    const Raw floats("f32");
    const Scalar bytes(8, false, 0);
    Flat flat(floats, Metric::l2), flat_bytes(bytes, Metric::l2);
    Hnsw plain(8, 40, floats, nullptr, Metric::l2), coarse(8, 40, bytes, nullptr, Metric::l2);
    Refine refined(coarse, floats, 1), of_flat(flat_bytes, floats, 1);
    const auto rotated = behind_rotation(refined);
    changes_beside_searches(flat, "Flat");
    changes_beside_searches(flat_bytes, "Flat over SQ8");
    changes_beside_searches(plain, "HNSW");
    changes_beside_searches(coarse, "HNSW over SQ8");
    changes_beside_searches(refined, "Refine over HNSW");
    changes_beside_searches(of_flat, "Refine over Flat");
    changes_beside_searches(*rotated, "Pipeline before Refine over HNSW");
    const Product codes(4, 4);
    Flat learning(codes, Metric::l2);
    Ivf lists(8, bytes, Metric::l2, std::nullopt);
    LshTables tables({.bits = 4}, codes, Metric::l2);
    Refine of_lists(lists, bytes, 2);
    const auto rotated_lists = behind_rotation(of_lists);
    questions_beside_learning(learning, "Flat");
    questions_beside_learning(lists, "IVF");
    questions_beside_learning(tables, "LSHTables");
    questions_beside_learning(of_lists, "Refine over IVF");
    questions_beside_learning(*rotated_lists, "Pipeline before Refine over IVF");
    return checks::summary("threads");
}
