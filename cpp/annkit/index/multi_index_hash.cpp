#include "annkit/index/multi_index_hash.h"

#include <algorithm>
#include <new>

#include "annkit/codec/bits.h"
#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/exhaustive.h"
#include "annkit/index/list_rows.h"

namespace annkit {
namespace {

// Rows that came since the tables were made are scanned, up to one in so many: a row added alone then costs as much as
// 32 in a batch, some microseconds.
constexpr size_t kTailShare = 32, kLeastTail = 32;

}  // namespace

MultiIndexHash::MultiIndexHash(const Codec& codec, size_t tables)
    : RowIndex(codec, Metric::hamming, false), wanted_tables_(tables) {
    codec_->check_supports(Metric::hamming);
    check(tables <= Substrings::kMostBits, "tables is ", tables, ", expected 1 to ", Substrings::kMostBits);
}

std::string MultiIndexHash::repr() const {
    const std::string codec = codec_->kind() == "bits" ? "" : concat("codec=", codec_->repr());
    const std::string tables = wanted_tables_ == 0 ? "" : concat("tables=", wanted_tables_);
    return concat("MultiIndexHash(", codec, codec.empty() || tables.empty() ? "" : ", ", tables, ")");
}

// As Faiss spells indexes of bits; of sign bits, those above 0 need no word.
std::string MultiIndexHash::factory() const {
    const std::string word = wanted_tables_ == 0 ? "MIH" : concat("MIH", wanted_tables_), codec = codec_->factory({});
    return codec == "BFlat" ? "B" + word : codec == "LSH" ? word : word + "," + codec;
}

void MultiIndexHash::fit(const Rows& rows, const Fit& fit) {
    const Lock change(changing_);
    const Lock lock(mutex_);
    if (!codec_->learns()) return;
    check_empty();
    auto codec = codec_->clone();
    codec->fit(rows, fit);
    codec_ = std::move(codec);
    searches_.clear();
    codes_.reset();
    tables_.reset();
    dim_ = rows.dim;
}

size_t MultiIndexHash::tables() const {
    std::shared_lock lock(mutex_);
    return tables_ ? tables_->parts().tables() : 0;
}
void MultiIndexHash::measure(std::vector<MemoryEntry>& entries) const {
    entries.push_back({"codes", codes_ ? codes_->code_memory() : 0});
    entries.push_back({"tables", tables_ ? tables_->nbytes() : 0});
}

void MultiIndexHash::check_codes(const Rows& rows) const {
    const size_t bits = bits_of(rows.dim);
    check(bits > 0 && bits <= Substrings::kMostBits, "the array has codes of ", bits, " bits, expected 8 to ",
          Substrings::kMostBits);
    check_dim(rows);
    if (wanted_tables_ == 0) return;
    const size_t width = (bits + wanted_tables_ - 1) / wanted_tables_;
    check(wanted_tables_ <= bits && width <= Substrings::kMostWidth, wanted_tables_, " tables of codes of ", bits,
          " bits, expected ", (bits + Substrings::kMostWidth - 1) / Substrings::kMostWidth, " to ", bits);
}

bool MultiIndexHash::wants_tables(size_t rows) const {
    const size_t tabled = tables_ ? tables_->rows() : 0;
    return rows - tabled > std::max(kLeastTail, tabled / kTailShare);
}

std::optional<SubstringTables> MultiIndexHash::make_tables(const Codes& codes, size_t rows, const Call& call) const {
    if (rows == 0) return std::nullopt;
    const size_t bits = 8 * codes.code_bytes();
    const size_t tables = wanted_tables_ > 0 ? wanted_tables_ : SubstringTables::tables_for(bits, rows);
    return std::make_optional<SubstringTables>(codes, rows, Substrings::learned(codes, rows, bits, tables), call);
}

void MultiIndexHash::add(const Rows& given, const Ids& ids, bool replace, const Call& call) {
    const Lock change(changing_);
    Lock lock(mutex_);
    check_ready();
    check_codes(given);
    const std::vector<uint32_t> replaced = members_.check_new(ids, given.n, replace);
    const ListRows coded(*codec_, Metric::hamming, given, "the array", call);
    const Rows& rows = coded.rows();
    std::optional<Codes> fresh;
    if (!codes_) fresh.emplace(bits_.make_codes(rows.dim, {Metric::hamming}));
    Codes& codes = codes_ ? *codes_ : *fresh;
    const size_t n = codes.n + rows.n;
    std::optional<SubstringTables> tables;
    Phase first(call.monitor, 0, 0.2), rest(call.monitor, 0.2, 1);
    try {
        codes.reserve(n);
        parallel_blocks(
            rows.n, 4096, threads_for(call, double(rows.n) * double(rows.dim) / 8), {call.threads, first.monitor()},
            [&](size_t from, size_t count) { bits_.encode(rows.slice(from, count), nullptr, codes, codes.n + from); });
        if (wants_tables(n)) tables = make_tables(codes, n, {call.threads, rest.monitor()});
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        members_.append(ids, rows.n, !replaced.empty());
    } catch (...) {
        codes.release_spare();
        throw;
    }
    codes.n = n;
    searches_.clear();
    dim_ = given.dim;
    if (fresh) codes_ = std::move(fresh);
    if (tables) tables_ = std::move(tables);
    remove_rows(replaced, lock, {call.threads, nullptr});
}

void MultiIndexHash::scan(const Rows& queries, const std::vector<uint32_t>& left, const TopK& empty,
                          const std::vector<const Bitset*>& allowed, const Call& call, Take take) const {
    // Rows come in their order here, which spares the equal ones.
    const TopK rising = empty.reordered({members_.ids().order().ids, true});
    if (left.size() == queries.n)
        return ExhaustiveSearch{bits_, Metric::hamming, *codes_, bits(), rising, allowed}.run(queries, call, take);
    const size_t bytes = bits() / 8;
    std::vector<uint8_t> copy(left.size() * bytes);
    std::vector<const Bitset*> own(allowed.size() > 1 ? left.size() : allowed.size());
    for (size_t i = 0; i < left.size(); ++i) {
        copy_bytes(queries, left[i], &copy[i * bytes]);
        if (allowed.size() > 1) own[i] = allowed[left[i]];
    }
    if (allowed.size() == 1) own[0] = allowed[0];
    Rows some = queries;
    some.data = reinterpret_cast<const std::byte*>(copy.data());
    some.n = left.size();
    some.row_stride = ptrdiff_t(bytes);
    some.element_stride = 1;
    ExhaustiveSearch{bits_, Metric::hamming, *codes_, bits(), rising, own}.run(
        some, call, [&](size_t query, std::span<const Hit> hits) { take(left[query], hits); });
}

void MultiIndexHash::run(const Rows& given, const TopK& empty, const Request& request, Take take) const {
    constexpr size_t kQueriesATask = 16;
    const FilterSets filters(request.filters, members_);
    const std::vector<const Bitset*>& allowed = filters.sets();
    const ListRows coded(*codec_, Metric::hamming, given, "the query", request.call);
    const Rows& queries = coded.rows();
    const double scan_cost = HashCosts::scan(codes_->n, bits(), queries.n);
    std::vector<uint8_t> left(queries.n, !tables_);
    const int threads = threads_for(request.call, scan_cost * double(queries.n));
    std::vector<std::unique_ptr<HashSearch>> workers{size_t(threads)};
    if (tables_) {
        parallel_for(
            (queries.n + kQueriesATask - 1) / kQueriesATask, threads, request.call, [&](size_t task, int thread) {
                auto& mine = workers[size_t(thread)];
                if (!mine)
                    mine = searches_.take([&] { return std::make_unique<HashSearch>(*tables_, bits_, *codes_); });
                mine->limit(scan_cost);
                for (size_t i = task * kQueriesATask; i < std::min(queries.n, (task + 1) * kQueriesATask); ++i) {
                    TopK top(empty);
                    const Bitset* own = allowed.empty() ? nullptr : allowed[allowed.size() > 1 ? i : 0];
                    left[i] = !mine->find(queries.slice(i, 1), own, top);
                    if (!left[i]) take(i, top.sorted());
                }
            });
    }
    for (auto& worker : workers)
        if (worker) searches_.give_back(std::move(worker));
    std::vector<uint32_t> numbers;
    for (uint32_t i = 0; i < queries.n; ++i)
        if (left[i]) numbers.push_back(i);
    if (!numbers.empty()) scan(queries, numbers, empty, allowed, request.call, take);
}

void MultiIndexHash::keep(const std::vector<uint32_t>& live, Lock&, const Call& call) {
    searches_.clear();
    tables_.reset();
    codes_->keep(live);
    try {
        if (wants_tables(live.size())) tables_ = make_tables(*codes_, live.size(), {call.threads, nullptr});
    } catch (const std::bad_alloc&) {  // every row is looked at until more rows come
    }
}

void MultiIndexHash::save(Writer& out) const {
    out.value("tables", int64_t(wanted_tables_));
    out.value("dim", int64_t(dim_));
    out.part("codec", *codec_);
    members_.save(out);
    if (codes_) codes_->save(out);
    if (tables_) {
        Writer inner = out.child("substrings", "substring_tables");
        tables_->save(inner);
    }
}

std::unique_ptr<Index> MultiIndexHash::load(const Reader& in) {
    // Files of the first version hold bits, and do not say so.
    const auto codec = in.has("codec") ? Registry<Codec>::load(in.child("codec")) : std::make_unique<Bits>();
    auto index =
        std::make_unique<MultiIndexHash>(*codec, size_t(in.integer("tables", 0, int64_t(Substrings::kMostBits))));
    const size_t n = index->load_members(in);
    check<FormatError>(index->bits() <= Substrings::kMostBits, in.file(), ": codes of ", index->bits(),
                       " bits, expected at most ", Substrings::kMostBits);
    check<FormatError>(codec->is_fitted() || n == 0, in.file(), ": ", n, " rows of a codec that has not been fitted");
    check<FormatError>(codec->fitted_dim() == 0 || codec->fitted_dim() == index->dim_, in.file(),
                       ": a codec of another dimension in an index of ", index->dim_);
    if (index->dim_ == 0 || (n == 0 && !in.has("column0"))) return index;
    index->codes_.emplace(index->bits_.make_codes(index->bits(), {Metric::hamming}));
    index->codes_->load(in, n);
    if (in.has("substrings")) index->tables_.emplace(SubstringTables::load(in.child("substrings"), index->bits(), n));
    return index;
}

}  // namespace annkit
