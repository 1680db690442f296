#include "annkit/index/flat.h"

#include <algorithm>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/unit_rows.h"
#include "annkit/simd/prefetch.h"

namespace annkit {

Flat::Flat(const Codec& codec, Metric metric)
    : RowIndex(codec, metric, metric == Metric::cosine && !codec.scores_cosine()) {
    codec_->check_supports(metric);
}

std::string Flat::repr() const {
    const bool sketch = codec_->kind() == "certified";
    return concat("Flat(codec=", codec_->repr(), ", metric=\"", name(metric_), "\"", sketch ? ", scan=\"sq8\")" : ")");
}

std::string Flat::factory() const { return codec_->factory({}); }

void Flat::measure(std::vector<MemoryEntry>& entries) const {
    if (!codes_) return;
    entries.push_back({"codes", codes_->code_memory()});
    entries.push_back({"factors", codes_->side_memory()});
}

void Flat::fit(const Rows& rows, const Fit& fit, const std::function<void()>& last) {
    const Lock change(changing_), lock(mutex_);
    if (!codec_->learns()) return last();
    check_empty();
    auto codec = codec_->clone();
    const InnerRows inner(rows, unit_, "the array");
    codec->fit(inner.rows(), fit);
    if (fit.call.monitor) fit.call.monitor->progress(1, 1);  // before anything changes: a callback may still raise
    last();
    codes_.reset();
    dim_ = rows.dim;
    codec_ = std::move(codec);
}

// Searches go on while rows are coded behind those that they read.
void Flat::add(const Rows& rows, const Ids& ids, bool replace, const Call& call, const std::function<void()>& last) {
    const Lock change(changing_);
    check_ready();
    check_dim(rows);
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    const Before before = this->before();
    Lock lock(mutex_);
    try {
        if (!codes_) codes_.emplace(codec_->make_codes(rows.dim, {inner_metric()})).set_room(members_.room());
        codes_->reserve(codes_->n + rows.n);
        if (codes_->block == 1) lock.unlock();  // rows in one block share bytes
        append_codes(*codec_, rows, *codes_, call);
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        if (!lock) lock.lock();
        members_.append(ids, rows.n, !replaced.empty());
        codes_->n += rows.n;
        dim_ = rows.dim;
        if (replaced.empty()) lock.unlock();
        last();
    } catch (...) {
        if (!lock) lock.lock();
        take_back(before);
        throw;
    }
    if (!replaced.empty()) remove_rows(replaced, lock, {call.threads, nullptr});
}

void Flat::take_back(const Before& before) {
    members_.take_back(before.members);
    dim_ = before.dim;
    if (!before.coded) return codes_.reset();
    codes_->n = before.members.rows;
    codes_->release_spare();
}

Index::Undo Flat::undo() {
    std::shared_lock lock(mutex_);
    return [this, before = before()] {
        const Lock change(changing_), again(mutex_);
        take_back(before);
    };
}

void Flat::reserve(size_t rows) {
    reserve_room(rows, [this](size_t room) {
        if (codes_) codes_->set_room(room);
    });
}

void Flat::run(const Rows& queries, const TopK& empty, const Request& request, Take take) const {
    const FilterSets filters(request.filters, members_);
    const InnerRows inner(queries, unit_, "the query");
    ExhaustiveSearch{*codec_, inner_metric(), *codes_, dim_, empty.reordered(tie_order()), filters.sets()}.run(
        inner.rows(), request.call, take);
}

std::vector<uint32_t> Flat::rows_here(std::span<const int64_t> ids) const {
    std::vector<uint32_t> rows;
    rows.reserve(ids.size());
    for (int64_t id : ids)
        if (const auto row = id < 0 ? std::nullopt : members_.find(id)) rows.push_back(*row);
    return rows;
}

void Flat::rescore(Scorer& scorer, std::span<const uint32_t> rows, TopK& top) const {
    std::vector<float> scores(rows.size());
    scorer.gather(rows.data(), rows.size(), scores.data());
    for (size_t i = 0; i < rows.size(); ++i)
        if (scores[i] <= top.kth()) top.push(scores[i], rows[i]);
}

void Flat::rescore(const Rows& queries, std::span<const int64_t> ids, size_t k, const Call& call,
                   const Answer& out) const {
    constexpr size_t kLeastATask = 8, kMostATask = 64, kTasksAThread = 4;
    std::shared_lock lock(mutex_);
    const size_t each = ids.size() / queries.n;
    const InnerRows inner(queries, unit_, "the query");
    const int threads = threads_for(call, double(ids.size()) * double(queries.dim));
    const size_t a_task = std::clamp(queries.n / (kTasksAThread * size_t(threads)), kLeastATask, kMostATask);
    parallel_for((queries.n + a_task - 1) / a_task, threads, call, [&](size_t task, int) {
        const auto scorer = members_.size() > 0 ? codec_->scorer(inner_metric(), *codes_, dim_) : nullptr;
        const size_t first = task * a_task, last = std::min(queries.n, first + a_task);
        std::vector<uint32_t> next = rows_here(ids.subspan(first * each, each));
        for (size_t i = first; i < last; ++i) {
            const std::vector<uint32_t> rows = std::move(next);
            if (i + 1 < last) {  // the next query's codes travel while this one's are scored
                next = rows_here(ids.subspan((i + 1) * each, each));
                for (const uint32_t row : next) fetch(row);
            }
            TopK top(k, tie_order());
            if (scorer) {
                scorer->query(inner.rows().slice(i, 1));
                rescore(*scorer, rows, top);
            }
            write_answer(out, i, k, top.sorted());
        }
    });
}

void Flat::fetch(uint32_t row) const {
    // The rest of long codes comes by itself once they are read.
    constexpr size_t kLine = 64, kMost = 8 * kLine;
    if (codes_->block > 1) return;
    const size_t bytes = std::min(codes_->code_bytes(), kMost);
    const std::byte* code = codes_->code(row);
    for (size_t i = 0; i < bytes; i += kLine) simd::prefetch(code + i);
}

void Flat::fetch(std::span<const Hit> hits) const {
    const std::shared_lock lock(mutex_, std::try_to_lock);  // a change may be waiting for the caller
    if (!lock || !codes_) return;
    for (const Hit& hit : hits)
        if (hit.row < members_.rows()) fetch(hit.row);
}

void Flat::rescore_within(const Rows& query, std::span<const int64_t> ids, float radius, RangeAnswer& answer) const {
    std::shared_lock lock(mutex_);
    if (members_.size() == 0 || ids.empty()) return;
    const InnerRows inner(query, unit_, "the query");
    const auto scorer = codec_->scorer(inner_metric(), *codes_, dim_);
    scorer->query(inner.rows());
    TopK top = TopK::within(score_within(radius), tie_order());
    rescore(*scorer, rows_here(ids), top);
    for (const Hit& hit : top.sorted()) {
        answer.distances.push_back(distance(hit.score));
        answer.ids.push_back(members_.id(hit.row));
    }
}

void Flat::keep(const std::vector<uint32_t>& live, Lock&, const Call&) { codes_->keep(live); }

void Flat::save(Writer& out) const {
    out.value("metric", name(metric_));
    out.value("dim", int64_t(dim_));
    out.part("codec", *codec_);
    members_.save(out);
    if (codes_) codes_->save(out);
}

std::unique_ptr<Index> Flat::load(const Reader& in) {
    const auto codec = Registry<Codec>::load(in.child("codec"));
    auto index = std::make_unique<Flat>(*codec, metric_from(in.text("metric", 16)));
    const size_t n = index->load_members(in);
    if (index->dim_ == 0) return index;
    if (!codec->is_fitted()) {
        check<FormatError>(n == 0, in.file(), ": ", n, " rows of a codec that has not been fitted");
        return index;
    }
    check<FormatError>(codec->fitted_dim() == 0 || codec->fitted_dim() == index->dim_, in.file(),
                       ": a codec of dimension ", codec->fitted_dim(), " in an index of ", index->dim_);
    if (n == 0 && !in.has("column0")) return index;  // fitted, and no rows so far
    index->codes_.emplace(codec->make_codes(index->dim_, {index->inner_metric()}));
    index->codes_->load(in, n);
    return index;
}

}  // namespace annkit
