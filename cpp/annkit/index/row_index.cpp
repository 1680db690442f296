#include "annkit/index/row_index.h"

#include <algorithm>
#include <new>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/index/unit_rows.h"

namespace annkit {

RowIndex::Types::Types(const Codec& codec) : expected(codec.expects()), decoded(codec.decoded()) {
    for (const Dtype type : {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::u8, Dtype::i8, Dtype::bits})
        accepted |= unsigned(codec.accepts(type)) << size_t(type);
}

size_t RowIndex::size() const {
    std::shared_lock lock(mutex_);
    return members_.size();
}
size_t RowIndex::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}
std::unique_ptr<Codec> RowIndex::codec_copy() const {
    std::shared_lock lock(mutex_);
    return codec_->clone();
}
std::vector<MemoryEntry> RowIndex::memory() const {
    std::shared_lock lock(mutex_);
    std::vector<MemoryEntry> entries;
    measure(entries);
    if (const size_t learned = codec_->nbytes(); learned > 0) entries.push_back({"codec", learned});
    entries.push_back({"ids", members_.nbytes()});
    return entries;
}

bool RowIndex::is_fitted() const {
    std::shared_lock lock(mutex_);
    return has_learned();
}

Dtype RowIndex::query_type(Dtype given) const {
    const Dtype type = given == Dtype::u8 && types_.accept(Dtype::bits) ? Dtype::bits : given;
    check<TypeError>(types_.accept(type), "the array has dtype ", annkit::name(given), ", the index expects ",
                     types_.expected);
    return type;
}

void RowIndex::check_ready() const {
    if (!has_learned()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
}

void RowIndex::check_writable() const {
    check(!is_view(), "the index is mapped read-only; load it with mmap=False to change it");
}

void RowIndex::check_dim(const Rows& rows) const {
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(dim_ == 0 || rows.dim == dim_, "the array has dimension ", rows.dim, ", the index has ", dim_);
}

void RowIndex::check_empty() const {
    check(members_.rows() == 0, "the index holds ", members_.size(), " rows, fit wants an empty one");
}

void RowIndex::append_codes(const Codec& codec, const Rows& rows, Codes& into, const Call& call) const {
    constexpr size_t kBlock = 256;
    const size_t before = into.n % kBlock;  // tasks end where blocks of codes do, as two threads may not share one
    const double a_number = codec.learns() ? 4 : 1;  // in multiply-adds; others hardly do more than copy
    const int threads = threads_for(call, a_number * double(rows.n) * double(rows.dim));
    parallel_apart((before + rows.n + kBlock - 1) / kBlock, threads, call, [&](size_t task, int) {
        const size_t first = std::max(task * kBlock, before) - before;
        const size_t last = std::min((task + 1) * kBlock - before, rows.n);
        const InnerRows inner(rows.slice(first, last - first), unit_, "the array");
        codec.encode(inner.rows(), nullptr, into, into.n + first);
    });
}

size_t RowIndex::row_bytes() const { return codec_->row_bytes(dim_); }

void RowIndex::decode_from(const Codes& codes, std::span<const uint32_t> rows, std::byte* out) const {
    for (size_t i = 0; i < rows.size(); ++i) codec_->decode(codes, rows[i], dim_, out + i * row_bytes());
}

void RowIndex::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    const std::vector<uint32_t> rows = members_.rows_of(ids);
    if (!rows.empty()) decode(rows, static_cast<std::byte*>(out));
}

float RowIndex::distance(float score) const { return unit_ ? unit_distance(score) : distance_of(metric_, score); }
float RowIndex::score_within(float radius) const {
    return unit_ ? unit_score_within(radius) : annkit::score_within(metric_, radius);
}

void RowIndex::write_answer(const Answer& out, size_t query, size_t k, std::span<const Hit> hits) const {
    const size_t at = query * k;
    for (size_t i = 0; i < k; ++i) {
        const bool found = i < hits.size();
        out.ids[at + i] = found ? members_.id(hits[i].row) : -1;
        if (out.counts)
            out.counts[at + i] = found ? int32_t(hits[i].score) : INT32_MAX;
        else
            out.distances[at + i] = found ? distance(hits[i].score) : padding_of(metric_);
    }
}

void RowIndex::check_search(const Rows& queries, const Request& request) const {
    check_ready();
    check(dim_ == 0 || queries.dim == dim_, "the query has dimension ", queries.dim, ", the index has ", dim_);
    const size_t filters = request.filters.size();
    check(filters <= 1 || filters == queries.n, "got ", filters, " filters for ", queries.n,
          " queries, expected one filter, or one a query");
}

void RowIndex::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    std::shared_lock lock(mutex_);
    check_search(queries, request);
    const auto write = [&](size_t query, std::span<const Hit> hits) {
        if (request.on_hits != nullptr) (*request.on_hits)(hits);
        write_answer(out, query, k, hits);
    };
    if (members_.size() > 0)
        return run(queries, TopK(std::min(k, members_.size()), members_.ids().order()), request, write);
    for (size_t query = 0; query < queries.n; ++query) write(query, {});
}

RangeAnswer RowIndex::range_search(const Rows& queries, float radius, const Request& request) const {
    std::shared_lock lock(mutex_);
    check_search(queries, request);
    std::vector<std::vector<Hit>> found(queries.n);
    if (members_.size() > 0)
        run(queries, TopK::within(score_within(radius), members_.ids().order()), request,
            [&](size_t query, std::span<const Hit> hits) { found[query].assign(hits.begin(), hits.end()); });
    RangeAnswer answer;
    answer.lims.push_back(0);
    for (const auto& hits : found) answer.lims.push_back(answer.lims.back() + int64_t(hits.size()));
    answer.distances.reserve(size_t(answer.lims.back()));
    answer.ids.reserve(size_t(answer.lims.back()));
    for (const auto& hits : found)
        for (const Hit& hit : hits) {
            answer.distances.push_back(distance(hit.score));
            answer.ids.push_back(members_.id(hit.row));
        }
    return answer;
}

void RowIndex::reserve_room(size_t rows, const std::function<void(size_t)>& set_room) {
    const Lock change(changing_), lock(mutex_);
    check_writable();
    const size_t before = members_.room();
    if (rows <= before) return;
    try {
        set_room(rows);
        members_.set_room(rows);
    } catch (...) {
        set_room(before);
        members_.set_room(before);
        throw;
    }
}

// changing_ is held.
std::vector<uint32_t> RowIndex::rows_to_remove(std::span<const int64_t> ids) {
    check_writable();
    std::vector<uint32_t> rows = members_.rows_of(ids);
    const Lock lock(mutex_);
    if (!rows.empty()) members_.expect_removal();
    return rows;
}

void RowIndex::remove(std::span<const int64_t> ids, const Call& call) {
    const Lock change(changing_);
    const std::vector<uint32_t> rows = rows_to_remove(ids);
    Lock lock(mutex_);
    remove_rows(rows, lock, call);
}

std::vector<uint32_t> RowIndex::expect_removal(std::span<const int64_t> ids) {
    const Lock change(changing_);
    return rows_to_remove(ids);
}

void RowIndex::remove_expected(std::span<const uint32_t> rows) {
    const Lock change(changing_);
    Lock lock(mutex_);
    remove_rows(rows, lock, {});
}

void RowIndex::remove_rows(std::span<const uint32_t> rows, Lock& lock, const Call& call) {
    // More than a quarter of the rows is dead: a removal then costs a few moved rows on average.
    constexpr size_t kDeadShare = 4;
    members_.remove(rows);
    if (members_.removed() * kDeadShare <= members_.rows()) return;
    try {
        keep_live_rows(lock, call);
    } catch (const std::bad_alloc&) {  // they are gone all the same, and their places wait for another removal
    } catch (...) {
        if (!lock) lock.lock();
        members_.bring_back(rows);
        throw;
    }
}

void RowIndex::keep_live_rows(Lock& lock, const Call& call) {
    const std::vector<uint32_t> live = members_.live_rows();
    IdTable::Kept kept = members_.kept(live);
    keep(live, lock, call);
    members_.keep(std::move(kept));
}

void RowIndex::compact(const Call& call) {
    Lock change(changing_);
    check_writable();
    Lock lock(mutex_);
    if (members_.removed() > 0) keep_live_rows(lock, call);
}

std::vector<int64_t> RowIndex::ids() const {
    std::shared_lock lock(mutex_);
    std::vector<int64_t> all;
    for (uint32_t row : members_.live_rows()) all.push_back(members_.id(row));
    return all;
}

Index::Held RowIndex::hold() const {
    Held held;
    held.emplace_back(changing_);
    held.emplace_back(mutex_);
    return held;
}

Index::Held RowIndex::hold_for_reading() const {
    Held held;
    held.emplace_back(mutex_);
    return held;
}

size_t RowIndex::load_members(const Reader& in) {
    dim_ = size_t(in.integer("dim", 0, kMaxDim));
    Members::load(in, members_);
    const size_t n = members_.rows();
    check<FormatError>(dim_ > 0 || n == 0, in.file(), ": ", n, " rows of dimension 0");
    check<FormatError>(decoded() != Dtype::bits || dim_ % 8 == 0, in.file(), ": ", dim_,
                       " bits a row, expected a multiple of 8");
    return n;
}

}  // namespace annkit
