#include "annkit/index/flat.h"

#include <algorithm>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/exhaustive.h"

namespace annkit {
namespace {

// A row has to fit the kernels' arithmetic and a slab; nobody has such rows.
constexpr size_t kMaxDim = size_t(1) << 24;
// Compaction when more than a quarter of the rows is dead: a removal then costs a few moved rows on average.
constexpr size_t kDeadShare = 4;

}  // namespace

Flat::Flat(const Codec& codec, Metric metric) : codec_(codec.clone()), metric_(metric) {
    check(codec_->supports(metric), "metric \"", name(metric), "\" does not go with codec ", codec_->repr(),
          metric == Metric::hamming ? ", expected Bits()" : ", expected metric \"hamming\"");
}

std::string Flat::repr() const {
    const bool sketch = codec_->kind() == "certified";
    return concat("Flat(codec=", codec_->repr(), ", metric=\"", name(metric_), "\"", sketch ? ", scan=\"sq8\")" : ")");
}

size_t Flat::size() const {
    std::shared_lock lock(mutex_);
    return members_.size();
}
size_t Flat::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}
size_t Flat::nbytes() const {
    std::shared_lock lock(mutex_);
    size_t mapped = 0;
    if (codes_)
        for (const Column& column : codes_->columns)
            if (column.is_view()) mapped += codes_->n * column.row_bytes();
    return (codes_ ? codes_->allocated() : 0) + mapped + members_.nbytes();
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
        codec_->encode(rows.slice(first, last - first), nullptr, into, into.n + first, first);
    });
    if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
}

void Flat::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    std::unique_lock lock(mutex_);
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(dim_ == 0 || rows.dim == dim_, "the array has dimension ", rows.dim, ", the index has ", dim_);
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    std::optional<Codes> fresh;
    if (!codes_) fresh.emplace(codec_->make_codes(rows.dim, {metric_}));
    Codes& codes = codes_ ? *codes_ : *fresh;
    try {
        codes.reserve(codes.n + rows.n);
        encode(rows, codes, call);
        members_.append(ids, rows.n);
    } catch (...) {
        codes.release_spare();
        throw;
    }
    codes.n += rows.n;
    dim_ = rows.dim;
    if (fresh) codes_ = std::move(fresh);
    remove_rows(replaced);
}

void Flat::check_queries(const Rows& queries, const std::vector<Filter>& filters) const {
    check(dim_ == 0 || queries.dim == dim_, "the query has dimension ", queries.dim, ", the index has ", dim_);
    check(filters.size() <= 1 || filters.size() == queries.n, "got ", filters.size(), " filters for ", queries.n,
          " queries, expected one filter, or one a query");
}

void Flat::run(const Rows& queries, const TopK& empty, const std::vector<Filter>& filters, const Call& call,
               const std::function<void(size_t, std::span<const Hit>)>& take) const {
    std::vector<Bitset> sets;
    sets.reserve(filters.size());
    std::vector<const Bitset*> allowed;
    for (const Filter& filter : filters) {
        sets.push_back(members_.allowed(filter));
        allowed.push_back(&sets.back());
    }
    if (filters.empty() && members_.alive() != nullptr) allowed.push_back(members_.alive());
    ExhaustiveSearch{*codec_, metric_, *codes_, dim_, empty, std::move(allowed)}.run(queries, call, take);
}

void Flat::search(const Rows& queries, size_t k, const std::vector<Filter>& filters, const Call& call,
                  const Answer& out) const {
    std::shared_lock lock(mutex_);
    check_queries(queries, filters);
    const auto write = [&](size_t query, std::span<const Hit> hits) {
        const size_t at = query * k;
        for (size_t i = 0; i < k; ++i) {
            const bool found = i < hits.size();
            out.ids[at + i] = found ? members_.id(hits[i].row) : -1;
            if (out.counts)
                out.counts[at + i] = found ? int32_t(hits[i].score) : INT32_MAX;
            else
                out.distances[at + i] = found ? distance_of(metric_, hits[i].score) : padding_of(metric_);
        }
    };
    if (members_.size() == 0) {
        for (size_t query = 0; query < queries.n; ++query) write(query, {});
        return;
    }
    run(queries, TopK(std::min(k, members_.size()), tie_order()), filters, call, write);
}

RangeAnswer Flat::range_search(const Rows& queries, float radius, const std::vector<Filter>& filters,
                               const Call& call) const {
    std::shared_lock lock(mutex_);
    check_queries(queries, filters);
    std::vector<std::vector<Hit>> found(queries.n);
    if (members_.size() > 0)
        run(queries, TopK::within(score_within(metric_, radius), tie_order()), filters, call,
            [&](size_t query, std::span<const Hit> hits) { found[query].assign(hits.begin(), hits.end()); });
    RangeAnswer answer;
    answer.lims.push_back(0);
    for (const auto& hits : found) answer.lims.push_back(answer.lims.back() + int64_t(hits.size()));
    answer.distances.reserve(size_t(answer.lims.back()));
    answer.ids.reserve(size_t(answer.lims.back()));
    for (const auto& hits : found)
        for (const Hit& hit : hits) {
            answer.distances.push_back(distance_of(metric_, hit.score));
            answer.ids.push_back(members_.id(hit.row));
        }
    return answer;
}

void Flat::remove(std::span<const int64_t> ids) {
    std::unique_lock lock(mutex_);
    check(!codes_ || !codes_->columns[0].is_view(),
          "the index is mapped read-only; load it with mmap=False to change it");
    remove_rows(members_.rows_of(ids));
}

void Flat::remove_rows(std::span<const uint32_t> rows) {
    members_.remove(rows);
    if (members_.removed() * kDeadShare > members_.rows()) compact_rows();
}

void Flat::compact() {
    std::unique_lock lock(mutex_);
    check(!codes_ || !codes_->columns[0].is_view(),
          "the index is mapped read-only; load it with mmap=False to change it");
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
    index->codes_.emplace(codec->make_codes(index->dim_, {index->metric_}));
    index->codes_->load(in, n);
    return index;
}

}  // namespace annkit
