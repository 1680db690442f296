#include "annkit/index/flat.h"

#include <algorithm>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/answers.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

// A row has to fit the kernels' arithmetic and a slab; nobody has such rows.
constexpr size_t kMaxDim = size_t(1) << 24;
// Compaction when more than a quarter of the rows is dead: a removal then costs a few moved rows on average.
constexpr size_t kDeadShare = 4;

}  // namespace

Flat::Flat(const Codec& codec, Metric metric)
    : codec_(codec.clone()), metric_(metric), unit_(metric == Metric::cosine && !codec.scores_cosine()) {
    check(codec_->supports(metric), "metric \"", name(metric), "\" does not go with codec ", codec_->repr(),
          metric == Metric::hamming ? ", expected Bits() or SignBits()" : ", expected metric \"hamming\"");
}

std::string Flat::repr() const {
    const bool sketch = codec_->kind() == "certified";
    return concat("Flat(codec=", codec_->repr(), ", metric=\"", name(metric_), "\"", sketch ? ", scan=\"sq8\")" : ")");
}

std::string Flat::factory() const { return codec_->factory({}); }

size_t Flat::size() const {
    std::shared_lock lock(mutex_);
    return members_.size();
}
std::unique_ptr<Codec> Flat::codec_copy() const {
    std::shared_lock lock(mutex_);
    return codec_->clone();
}
size_t Flat::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}
std::vector<MemoryEntry> Flat::memory() const {
    std::shared_lock lock(mutex_);
    std::vector<MemoryEntry> entries;
    if (codes_) {
        entries.push_back({"codes", codes_->code_memory()});
        entries.push_back({"factors", codes_->side_memory()});
    }
    entries.push_back({"ids", members_.nbytes()});
    return entries;
}

Dtype Flat::query_type(Dtype given) const {
    const Dtype type = given == Dtype::u8 && codec_->accepts(Dtype::bits) ? Dtype::bits : given;
    if (!codec_->accepts(type))
        fail<TypeError>("the array has dtype ", annkit::name(given), ", ", repr(), " expects ", codec_->expects());
    return type;
}

void Flat::encode(const Rows& rows, Codes& into, const Call& call) const {
    constexpr size_t kBlock = 256;
    const double work = double(rows.n) * double(rows.dim);
    const size_t before = into.n % kBlock;  // tasks end where blocks of codes do, as two threads may not share one
    parallel_for((before + rows.n + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = std::max(task * kBlock, before) - before;
        const size_t last = std::min((task + 1) * kBlock - before, rows.n);
        const InnerRows inner(rows.slice(first, last - first), unit_, "the array");
        codec_->encode(inner.rows(), nullptr, into, into.n + first);
    });
    if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
}

void Flat::check_ready() const {
    if (!codec_->is_fitted()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
}

void Flat::fit(const Rows& rows, const Fit& fit, const std::function<void()>& last) {
    std::unique_lock lock(mutex_);
    check(dim_ == 0 || members_.rows() == 0 || !codec_->learns(), "the index holds ", members_.size(),
          " rows, fit wants an empty one");
    if (!codec_->learns()) return last();
    auto codec = codec_->clone();
    const InnerRows inner(rows, unit_, "the array");
    codec->fit(inner.rows(), fit);
    last();
    codes_.reset();
    dim_ = rows.dim;
    codec_ = std::move(codec);
}

void Flat::add(const Rows& rows, const Ids& ids, bool replace, const Call& call, const std::function<void()>& last) {
    std::unique_lock lock(mutex_);
    check_ready();
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(dim_ == 0 || rows.dim == dim_, "the array has dimension ", rows.dim, ", the index has ", dim_);
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    std::optional<Codes> fresh;
    if (!codes_) fresh.emplace(codec_->make_codes(rows.dim, {inner_metric()}));
    Codes& codes = codes_ ? *codes_ : *fresh;
    const IdTable::Mark before = members_.mark();
    try {
        codes.reserve(codes.n + rows.n);
        encode(rows, codes, call);
        members_.append(ids, rows.n);
        last();
    } catch (...) {
        members_.take_back(before);
        codes.release_spare();
        throw;
    }
    codes.n += rows.n;
    dim_ = rows.dim;
    if (fresh) codes_ = std::move(fresh);
    remove_rows(replaced);
}

Index::Undo Flat::undo() {
    std::shared_lock lock(mutex_);
    return [this, dim = dim_, coded = codes_.has_value(), before = members_.mark()] {
        std::unique_lock again(mutex_);
        members_.take_back(before);
        dim_ = dim;
        if (!coded) return codes_.reset();
        codes_->n = before.rows;
        codes_->release_spare();
    };
}

void Flat::run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const {
    const FilterSets filters(request.filters, members_);
    const InnerRows inner(queries, unit_, "the query");
    ExhaustiveSearch{*codec_, inner_metric(), *codes_, dim_, empty, filters.sets()}.run(inner.rows(), request.call,
                                                                                        take);
}

void Flat::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    std::shared_lock lock(mutex_);
    check_ready();
    check_queries(queries, dim_, request.filters);
    const Answering answering{members_, metric_, unit_, tie_order()};
    answering.nearest(queries.n, k, out,
                      [&](const TopK& empty, const Answering::Take& take) { run(queries, empty, request, take); });
}

RangeAnswer Flat::range_search(const Rows& queries, float radius, const Request& request) const {
    std::shared_lock lock(mutex_);
    check_ready();
    check_queries(queries, dim_, request.filters);
    const Answering answering{members_, metric_, unit_, tie_order()};
    return answering.within(
        queries.n, radius, [&](const TopK& empty, const Answering::Take& take) { run(queries, empty, request, take); });
}

void Flat::rescore(Scorer& scorer, std::span<const int64_t> ids, TopK& top) const {
    std::vector<uint32_t> rows;
    rows.reserve(ids.size());
    for (int64_t id : ids)
        if (const auto row = id < 0 ? std::nullopt : members_.find(id)) rows.push_back(*row);
    std::vector<float> scores(rows.size());
    scorer.gather(rows.data(), rows.size(), scores.data());
    for (size_t i = 0; i < rows.size(); ++i)
        if (scores[i] <= top.kth()) top.push(scores[i], rows[i]);
}

void Flat::rescore(const Rows& queries, std::span<const int64_t> ids, size_t k, const Call& call,
                   const Answer& out) const {
    constexpr size_t kQueriesATask = 8;
    std::shared_lock lock(mutex_);
    const size_t each = ids.size() / queries.n;
    const InnerRows inner(queries, unit_, "the query");
    const int threads = threads_for(call, double(ids.size()) * double(queries.dim));
    parallel_for((queries.n + kQueriesATask - 1) / kQueriesATask, threads, call, [&](size_t task, int) {
        const auto scorer = codes_ ? codec_->scorer(inner_metric(), *codes_, dim_) : nullptr;
        for (size_t i = task * kQueriesATask; i < std::min(queries.n, (task + 1) * kQueriesATask); ++i) {
            TopK top(k, tie_order());
            if (scorer) {
                scorer->query(inner.rows().slice(i, 1));
                rescore(*scorer, ids.subspan(i * each, each), top);
            }
            write_answer(out, i, k, top.sorted(), members_, metric_, unit_);
        }
    });
}

void Flat::rescore_within(const Rows& query, std::span<const int64_t> ids, float radius, RangeAnswer& answer) const {
    std::shared_lock lock(mutex_);
    if (!codes_ || ids.empty()) return;
    const InnerRows inner(query, unit_, "the query");
    const auto scorer = codec_->scorer(inner_metric(), *codes_, dim_);
    scorer->query(inner.rows());
    TopK top = TopK::within(unit_ ? unit_score_within(radius) : score_within(metric_, radius), tie_order());
    rescore(*scorer, ids, top);
    for (const Hit& hit : top.sorted()) {
        answer.distances.push_back(unit_ ? unit_distance(hit.score) : distance_of(metric_, hit.score));
        answer.ids.push_back(members_.id(hit.row));
    }
}

void Flat::remove(std::span<const int64_t> ids) {
    std::unique_lock lock(mutex_);
    check(!codes_ || !codes_->is_view(), "the index is mapped read-only; load it with mmap=False to change it");
    remove_rows(members_.rows_of(ids));
}

void Flat::remove_rows(std::span<const uint32_t> rows) {
    members_.remove(rows);
    if (members_.removed() * kDeadShare > members_.rows()) compact_rows();
}

void Flat::compact() {
    std::unique_lock lock(mutex_);
    check(!codes_ || !codes_->is_view(), "the index is mapped read-only; load it with mmap=False to change it");
    if (members_.removed() > 0) compact_rows();
}

void Flat::compact_rows() {
    const std::vector<uint32_t> live = members_.live_rows();
    members_.keep(live);
    codes_->keep(live);
}

void Flat::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    const std::vector<uint32_t> rows = members_.rows_of(ids);
    auto* to = static_cast<std::byte*>(out);
    const size_t bytes = codec_->decoded() == Dtype::bits ? dim_ / 8 : dim_ * element_size(codec_->decoded());
    for (size_t i = 0; i < rows.size(); ++i) codec_->decode(*codes_, rows[i], dim_, to + i * bytes);
}

std::vector<int64_t> Flat::ids() const {
    std::shared_lock lock(mutex_);
    std::vector<int64_t> all;
    for (uint32_t row : members_.live_rows()) all.push_back(members_.id(row));
    return all;
}

Index::Held Flat::hold() const {
    Held held;
    held.emplace_back(mutex_);
    return held;
}

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
    index->dim_ = size_t(in.integer("dim", 0, kMaxDim));
    Members::load(in, index->members_);
    const size_t n = index->members_.rows();
    check<FormatError>(index->dim_ > 0 || n == 0, in.file(), ": ", n, " rows of dimension 0");
    if (index->dim_ == 0) return index;
    check<FormatError>(codec->decoded() != Dtype::bits || index->dim_ % 8 == 0, in.file(), ": ", index->dim_,
                       " bits a row, expected a multiple of 8");
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
