#include "annkit/index/refine.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"

namespace annkit {
namespace {

bool same_ids(std::vector<int64_t> a, std::vector<int64_t> b) {
    if (a == b) return true;  // the rule: they differ in order only where the parts were compacted at different times
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return a == b;
}

// The largest id ever used, from which default ids count on: a wrapper's is that of what it holds.
int64_t largest_id(Reader part) {
    while (!part.has("largest")) part = part.child(part.has("index") ? "index" : "finer");
    return part.integer("largest", -1, INT64_MAX);
}

}  // namespace

Refine::Refine(std::unique_ptr<Index> base, std::unique_ptr<Flat> finer, double k_factor)
    : base_(std::move(base)), finer_(std::move(finer)), k_factor_(k_factor) {
    check(k_factor >= 1 && k_factor <= 1e6, "k_factor is ", k_factor, ", expected 1 to 1,000,000");
}

Refine::Refine(const Index& base, const Codec& codec, double k_factor)
    : Refine(base.clone(), std::make_unique<Flat>(codec, base.metric()), k_factor) {
    check(base.metric() != Metric::hamming, "Refine does not take an index with metric \"hamming\"");
    check(base.size() == 0, "the base holds ", base.size(), " rows, Refine wants an empty one: add rows to it itself");
}

std::string Refine::repr() const {
    char factor[32];
    std::snprintf(factor, sizeof factor, "%.12g", k_factor_);
    return concat("Refine(", base_->repr(), ", codec=", finer_->codec().repr(), ", k_factor=", factor, ")");
}

std::string Refine::factory() const {
    check(k_factor_ == kDefaultFactor, "no factory string has a word for k_factor=", k_factor_);
    const std::string finer = finer_->factory();
    return base_->factory() + (finer == "Flat" ? ",RFlat" : concat(",Refine(", finer, ")"));
}

std::vector<MemoryEntry> Refine::memory() const {
    std::vector<MemoryEntry> entries = base_->memory();
    for (MemoryEntry entry : finer_->memory()) {
        entry.name.insert(0, "finer ");
        entries.push_back(std::move(entry));
    }
    return entries;
}

Dtype Refine::query_type(Dtype given) const {
    const Dtype type = base_->query_type(given);
    check<TypeError>(finer_->query_type(given) == type, "the array has dtype ", annkit::name(given),
                     ", which is not the same to the index and to its finer codes");
    return type;
}

// In all changes the base's turn comes when nothing else can fail any more.
void Refine::fit(const Rows& rows, const Fit& fit) {
    std::unique_lock change(changing_), lock(mutex_);
    Phase first(fit.call.monitor, 0, 0.2), rest(fit.call.monitor, 0.2, 1);
    finer_->fit(rows, {fit.seed, {fit.call.threads, first.monitor()}},
                [&] { base_->fit(rows, {fit.seed, {fit.call.threads, rest.monitor()}}); });
}

void Refine::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    std::unique_lock change(changing_);
    if (!base_->is_fitted()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
    check(base_->dim() == 0 || rows.dim == base_->dim(), "the array has dimension ", rows.dim, ", the index has ",
          base_->dim());
    Phase first(call.monitor, 0, 0.2), rest(call.monitor, 0.2, 1);
    finer_->add(rows, ids, replace, {call.threads, first.monitor()},
                [&] { base_->add(rows, ids, replace, {call.threads, rest.monitor()}); });
}

void Refine::reserve(size_t rows) {
    std::unique_lock change(changing_);
    base_->reserve(rows);  // refuses where it cannot
    finer_->reserve(rows);
}

Index::Undo Refine::undo() {
    std::shared_lock lock(mutex_);
    const Undo base = base_->undo();
    if (!base) return {};
    return [this, base, finer = finer_->undo()] {
        std::unique_lock change(changing_), again(mutex_);
        base();
        finer();
    };
}

void Refine::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    constexpr size_t kQueries = 1024;
    // Of so few queries, what is fetched ahead is still in the caches when its turn comes.
    constexpr size_t kFetched = 16;
    std::shared_lock lock(mutex_);
    Settings settings = request.settings;
    settings.estimates = true;
    const double factor = request.settings.k_factor > 0 ? request.settings.k_factor : k_factor_;
    const double most = double(std::max<size_t>(base_->size(), 1));
    const auto candidates = std::max<size_t>(size_t(std::min(std::ceil(double(k) * factor), most)), 1);
    std::vector<float> distances(std::min(queries.n, kQueries) * candidates);
    std::vector<int64_t> ids(distances.size());
    for (size_t first = 0; first < queries.n; first += kQueries) {
        const Rows block = queries.slice(first, std::min(kQueries, queries.n - first));
        std::vector<Filter> filters(request.filters);
        if (filters.size() > 1 && filters.size() == queries.n)
            filters.assign(request.filters.begin() + ptrdiff_t(first),
                           request.filters.begin() + ptrdiff_t(first + block.n));
        const auto fetch = [this](std::span<const Hit> hits) { finer_->fetch(hits); };  // rows mostly have one number
        const OnHits on_hits(fetch);
        base_->search(block, candidates, {filters, settings, request.call, block.n <= kFetched ? &on_hits : nullptr},
                      {distances.data(), nullptr, ids.data()});
        finer_->rescore(block, std::span(ids).first(block.n * candidates), k, request.call,
                        {out.distances + first * k, nullptr, out.ids + first * k});
    }
}

void Refine::remove(std::span<const int64_t> ids, const Call& call) {
    std::unique_lock change(changing_);
    const std::vector<uint32_t> rows = finer_->expect_removal(ids);
    base_->remove(ids, call);
    std::unique_lock lock(mutex_);
    finer_->remove_expected(rows);
}

void Refine::compact(const Call& call) {
    std::unique_lock change(changing_);
    base_->compact(call);
    finer_->compact(call);
}

void Refine::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    finer_->reconstruct(ids, out);
}

Index::Held Refine::hold() const {
    Held held;
    held.emplace_back(changing_);
    held.emplace_back(mutex_);
    // The finer codes first, as in fit and add.
    for (const Index* part : {static_cast<const Index*>(finer_.get()), static_cast<const Index*>(base_.get())})
        for (auto& lock : part->hold()) held.push_back(std::move(lock));
    return held;
}

Index::Held Refine::hold_for_reading() const {
    Held held;
    held.emplace_back(mutex_);
    for (const Index* part : {static_cast<const Index*>(finer_.get()), static_cast<const Index*>(base_.get())})
        for (auto& lock : part->hold_for_reading()) held.push_back(std::move(lock));
    return held;
}

void Refine::save(Writer& out) const {
    out.value("k_factor", k_factor_);
    out.part("base", *base_);
    out.part("finer", *finer_);
}

std::unique_ptr<Index> Refine::load(const Reader& in) {
    auto base = Registry<Index>::load(in.child("base"));
    const Reader finer = in.child("finer");
    check<FormatError>(finer.kind() == "flat", in.file(), ": Refine holds ", finer.kind(), ", expected flat");
    std::unique_ptr<Flat> flat(static_cast<Flat*>(Flat::load(finer).release()));
    const double k_factor = in.real("k_factor");
    check<FormatError>(k_factor >= 1 && k_factor <= 1e6, in.file(), ": k_factor is ", k_factor);
    check<FormatError>(base->metric() == flat->metric() && same_ids(base->ids(), flat->ids()) &&
                           largest_id(in.child("base")) == largest_id(finer) &&
                           (base->size() == 0 || base->dim() == flat->dim()),
                       in.file(), ": the two parts of Refine do not hold the same rows");
    return std::unique_ptr<Index>(new Refine(std::move(base), std::move(flat), k_factor));
}

}  // namespace annkit
