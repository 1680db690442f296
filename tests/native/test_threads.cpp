// Searches, additions and removals beside each other, from threads of the caller's own.
#include <atomic>
#include <thread>

#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
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
                float distance[1];
                int64_t id[1];
                index.search(Rows::of(&rows[at * kDim], 1, kDim), 1, {{}, {.ef = 4 * kRows}, {.threads = 1}},
                             {distance, nullptr, id});
                wrong += id[0] != int64_t(at);
                ++searches;
            }
        });
    // The first rows stay; copies of them come, lose every tie by their later ids, and go.
    for (size_t round = 0; round < kRounds; ++round) {
        std::vector<int64_t> ids(kRows);
        for (size_t i = 0; i < kRows; ++i) ids[i] = int64_t((round + 1) * kRows + i);
        index.add(all, ids, false, {.threads = 1});
        index.remove(ids);
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
    checks::expect(wrong == 0, concat(what, ": a search beside changes found another row than its own"));
    checks::expect(searches > kRounds, concat(what, ": searches ran beside the changes"));
    checks::expect(index.size() == kRows, concat(what, ": the rows that came have gone"));
}

}  // namespace

int main() {
    Flat flat(Raw("f32"), Metric::l2);
    changes_beside_searches(flat, "Flat");
    Hnsw plain(8, 40, Raw("f32"), nullptr, Metric::l2), coarse(8, 40, Scalar(8, false, 0), nullptr, Metric::l2);
    changes_beside_searches(plain, "HNSW");
    changes_beside_searches(coarse, "HNSW over SQ8");
    return checks::summary("threads");
}
