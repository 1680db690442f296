// Every call on every index, codec and transform, with each allocation in turn failing: the call throws bad_alloc, the
// index answers as before and holds what it held, and the same call then does what it would have done in the first
// place. Or the call does without what it could not get.
//
// Of calls with many allocations, all of the first ones fail in turn, and a share of the others;
// ANNKIT_EVERY_ALLOCATION makes it all.
#include <functional>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/registry.h"
#include "checks.h"
#include "failing_memory.h"
#include "indexes.h"

namespace {

using namespace annkit;
using indexes::Example;
using indexes::saved;
using Bytes = std::vector<std::byte>;

int64_t next_failure(int64_t n) {
    static const bool every = std::getenv("ANNKIT_EVERY_ALLOCATION") != nullptr;
    constexpr int64_t kEach = 40, kShare = 8;
    return every || n < kEach ? n + 1 : n + n / kShare;
}

std::unique_ptr<Index> loaded(const Bytes& file) { return Registry<Index>::load_file(Reader::from_bytes(file)); }

// What searches that leave no row out find.
struct Answers {
    std::vector<int64_t> held, ids, lims, within;
    std::vector<float> distances;
    bool operator==(const Answers&) const = default;
};

constexpr size_t kHits = 8, kQueries = 4;

Settings settings_for(const Index& index) {
    Settings settings;
    settings.nprobe = 1024;
    settings.ef = 4096;
    settings.probes = settings.candidates = size_t(1) << 20;
    settings.k_factor = index.takes("k_factor") ? 1e6 : 0;
    return settings;
}

Answers answers_of(const Index& index, const Rows& rows, size_t queries = kQueries, int threads = 1) {
    Answers all{index.ids(), std::vector<int64_t>(queries * kHits), {}, {}, std::vector<float>(queries * kHits)};
    std::vector<int32_t> counts(queries * kHits);
    if (!index.is_fitted() || index.dim() == 0) return all;
    const std::vector<Filter> none;
    const Request request{none, settings_for(index), {threads, nullptr}};
    const bool hamming = index.metric() == Metric::hamming;
    index.search(rows.slice(0, queries), kHits, request,
                 {all.distances.data(), hamming ? counts.data() : nullptr, all.ids.data()});
    RangeAnswer range = index.range_search(rows.slice(0, 1), hamming ? 60.0f : 20.0f, request);
    all.lims = std::move(range.lims);
    all.within = std::move(range.ids);
    return all;
}

// A change, and the file of an index that it is made of.
struct Change {
    const char* name;
    const Bytes* from;
    std::function<void(Index&)> apply;
};

void fails_anywhere(const Change& change, const Rows& rows) {
    const auto untouched = loaded(*change.from), changed = loaded(*change.from);
    const Answers before = answers_of(*untouched, rows);
    change.apply(*changed);
    const Answers after = answers_of(*changed, rows);
    const Bytes file = saved(*changed);
    for (const bool lasting : {false, true})
        for (int64_t n = 1;; n = next_failure(n)) {
            const auto index = loaded(*change.from);
            const bool threw = failing::throws(n, lasting, [&] { change.apply(*index); });
            const bool refused = failing::refused;
            const auto expect = [&](bool ok, const char* what) {
                checks::expect(ok, ok ? "" : concat(index->repr(), ", ", change.name, ", allocation ", n, ": ", what));
            };
            expect(threw <= refused, "bad_alloc with memory enough");
            if (threw) {
                expect(answers_of(*index, rows) == before, "it answers otherwise after a failure");
                change.apply(*index);
                expect(saved(*index) == file, "the same call once more does not what it should");
            } else {
                expect(answers_of(*index, rows) == after, "it does not answer as it should");
            }
            if (!refused) break;
        }
}

void changes_fail(const Example& example) {
    Index* index = example.index.get();
    const Rows& rows = example.rows;
    const size_t half = rows.n / 2;
    const Rows first = rows.slice(0, half), second = rows.slice(half, rows.n - half);
    const Bytes unfitted = saved(*index);
    index->fit(first, {});
    const Bytes fitted = saved(*index);
    index->add(first, std::nullopt, false, {1, nullptr});
    const Bytes full = saved(*index);
    index->remove(std::vector<int64_t>{1, 3}, {});
    const Bytes holed = saved(*index);
    std::vector<int64_t> others(second.n), some{2, 5}, many;
    for (size_t i = 0; i < others.size(); ++i) others[i] = int64_t(i + 8);  // most are there
    for (size_t i = 0; i < half / 2; ++i) many.push_back(int64_t(2 * i));
    const auto add = [&](const Rows& x, const Ids& ids, bool replace) {
        return [=](Index& index) { index.add(x, ids, replace, {1, nullptr}); };
    };
    const auto remove = [](const std::vector<int64_t>& ids) {
        return [&ids](Index& index) { index.remove(ids, {1, nullptr}); };
    };
    const Change changes[] = {
        {"fit", &unfitted, [&](Index& index) { index.fit(first, {1, {1, nullptr}}); }},
        {"fit once more", &fitted, [&](Index& index) { index.fit(second, {2, {1, nullptr}}); }},
        {"first add", &fitted, add(second, {}, false)},
        {"add", &full, add(second, {}, false)},
        {"add beside removed rows", &holed, add(second, {}, false)},
        {"add with replacement", &full, add(second, others, true)},
        {"add with replacement, beside removed rows", &holed, add(second, others, true)},
        {"remove", &full, remove(some)},
        {"remove many", &full, remove(many)},
        {"compact", &holed, [](Index& index) { index.compact({1, nullptr}); }},
        {"search", &holed, [&](Index& index) { answers_of(index, rows); }},
        {"undo", &full,
         [&](Index& index) {
             const Index::Undo undo = index.undo();
             if (!undo) return;
             index.add(second, {}, false, {1, nullptr});
             undo();
         }},
        {"reserve", &full,
         [&](Index& index) {
             try {
                 index.reserve(4 * rows.n);
             } catch (const ValueError&) {  // it cannot know where they go
             }
         }},
    };
    for (const Change& change : changes) fails_anywhere(change, rows);
}

// Storing, copying and loading leave the index alone, and nothing behind.
void storing_fails(const Example& example) {
    Index* index = example.index.get();
    const Rows& rows = example.rows;
    index->fit(rows, {});
    index->add(rows, std::nullopt, false, {1, nullptr});
    const Bytes file = saved(*index);
    for (const bool lasting : {false, true})
        for (int64_t n = 1;; n = next_failure(n)) {
            Bytes again;
            const bool threw = failing::throws(n, lasting, [&] { again = saved(*index->clone()); });
            const bool refused = failing::refused;
            checks::expect(threw == refused && (threw || again == file), "a copy is whole, or there is none");
            checks::expect(saved(*index) == file, "copying changes nothing");
            if (!refused) break;
        }
}

// What has learned keeps that when it fails to learn anew.
template <class P>
void fitting_fails(P& part, const Rows& first, const Rows& second) {
    const auto stored = [&part] {
        Writer out(part.kind());
        part.save(out);
        return out.to_bytes();
    };
    part.fit(first, {});
    const Bytes before = stored();
    for (const bool lasting : {false, true})
        for (int64_t n = 1;; n = next_failure(n)) {
            const bool threw = failing::throws(n, lasting, [&] { part.fit(second, {1, {1, nullptr}}); });
            if (threw) {
                checks::expect(stored() == before, concat(part.repr(), ", allocation ", n, ": fit left a trace"));
                continue;
            }
            const bool refused = failing::refused;  // it may have done without
            part.fit(first, {});
            if (!refused) break;
        }
}

void parts_fail(const Rows& rows) {
    const Rows first = rows.slice(0, rows.n / 2), second = rows.slice(rows.n / 2, rows.n / 2);
    const auto codec_fails = [&](const Codec& codec) { fitting_fails(*codec.clone(), first, second); };
    codec_fails(Scalar(8, false, 0));
    codec_fails(Scalar(4, true, 0.1));
    codec_fails(Product(8, 4));
    codec_fails(Product(4, 5, 9));
    codec_fails(RaBitQ(1));
    codec_fails(RaBitQ(4));
    codec_fails(SignBits(true));
    codec_fails(SignBits(true, true));
    codec_fails(Certified(Raw("f32"), false));
    const auto transform_fails = [&](Transform&& transform) { fitting_fails(transform, first, second); };
    transform_fails(Pca(Pca::Options{8, 0.5, 2}));
    transform_fails(Center());
    transform_fails(Opq(Opq::Options{4, 8, 4, 2}));
    transform_fails(Rotation(size_t(0), true));
    transform_fails(Projection(size_t(6)));
    transform_fails(Itq(Itq::Options{12, 3}));
    transform_fails(Spectral(size_t(20)));
}

// A failure in one of several threads reaches the caller.
void threads_fail() {
    constexpr size_t kMany = 3000, kLess = 400;
    Random random(3);
    const indexes::Examples many(random, kMany);
    for (const Example& example : many.all()) {
        Index* index = example.index.get();
        const Rows& rows = example.rows;
        const std::string repr = index->repr();
        index->fit(rows.slice(0, kLess), {});
        index->add(rows.slice(0, kLess), std::nullopt, false, {1, nullptr});
        const Bytes file = saved(*index);
        const Answers before = answers_of(*index, rows);
        for (int64_t n = 1;; n = 1 + 3 * n) {
            const bool threw = failing::throws(n, true, [&] {
                answers_of(*index, rows, kLess, 2);
                index->add(rows.slice(kLess, kMany - kLess), std::nullopt, false, {2, nullptr});
            });
            if (!threw) break;
            checks::expect(answers_of(*index, rows) == before && saved(*index) == file,
                           concat(repr, ", two threads, allocation ", n, ": the index has changed"));
        }
    }
}

}  // namespace

int main() {
    register_parts();
    Random random(1);
    const indexes::Examples few(random, 80), again(random, 80);
    for (const Example& example : few.all()) changes_fail(example);
    for (const Example& example : again.all()) storing_fails(example);
    const indexes::Examples more(random, 2600);  // enough for tables to be sorted anew
    for (const Example& example : more.all())
        if (example.index->kind() == "lsh_tables") changes_fail(example);
    parts_fail(few.all()[0].rows);
    threads_fail();
    return checks::summary("failing memory");
}
