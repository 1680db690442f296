#include "annkit/index/lsh_tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kMostTables = 1024, kMostSketch = 4096;
constexpr size_t kBlock = 128, kQueriesATask = 32;

void check_options(const LshOptions& options) {
    check(options.tables >= 1 && options.tables <= kMostTables, "LSHTables has ", options.tables,
          " tables, expected 1 to ", kMostTables);
    check(options.bits >= 1 && options.bits <= kMostLshBits, "bits is ", options.bits, ", expected 1 to ",
          kMostLshBits);
    check(options.sketch % 64 == 0 && options.sketch <= kMostSketch, "sketch is ", options.sketch,
          ", expected a multiple of 64 from 0 to ", kMostSketch);
    check(std::isfinite(options.width) && options.width >= 0 && options.width < 1e30, "width is ", options.width,
          ", expected a length above 0");
    check(options.width == 0 || options.kind == LshKind::p_stable, "width is of family \"p-stable\", got family \"",
          name(options.kind), "\"");
    check(options.width == 0 || options.width > 1e-30, "width is ", options.width, ", expected a length above 1e-30");
}

}  // namespace

LshTables::LshTables(const LshOptions& options, const Codec& codec, Metric metric)
    : RowIndex(codec, metric, codec.wants_unit_rows(metric)), options_(options) {
    check_options(options);
    check(metric != Metric::hamming && codec_->supports(metric), "metric \"", name(metric),
          "\" does not go with LSHTables over ", codec_->repr());
}

std::string LshTables::repr() const {
    std::string text = concat("LSHTables(family=\"", name(options_.kind), "\", tables=", options_.tables,
                              ", bits=", options_.bits, ", sketch=", options_.sketch);
    if (!options_.principal) text += ", directions=\"random\"";
    if (options_.width > 0) {
        char width[32];
        std::snprintf(width, sizeof width, "%.12g", options_.width);
        text += concat(", width=", width);
    }
    return text + concat(", codec=", codec_->repr(), ", metric=\"", name(metric_), "\")");
}

void LshTables::measure(std::vector<MemoryEntry>& entries) const {
    if (!hash_) return;
    entries.push_back({"codes", codes_->code_memory()});
    entries.push_back({"factors", codes_->side_memory()});
    entries.push_back({"tables", store_->nbytes()});
    entries.push_back({"functions", hash_->nbytes()});
}

// All of it is there before anything changes.
void LshTables::set_up(LshHash&& hash, std::unique_ptr<Codec> codec) {
    LshStore store(options_.tables, options_.bits, hash.sketch_bytes());
    Codes codes = codec->make_codes(hash.dim(), {inner_metric(), false, true});
    dim_ = hash.dim();
    codec_ = std::move(codec);
    store_ = std::move(store);
    codes_ = std::move(codes);
    hash_ = std::move(hash);
}

void LshTables::fit(const Rows& rows, const Fit& fit) {
    const Lock change(changing_), lock(mutex_);
    check_empty();
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(rows.n > 0, "LSHTables learns from at least one row, got none");
    Phase first(fit.call.monitor, 0, 0.5), rest(fit.call.monitor, 0.5, 1);
    LshHash hash(options_, metric_, rows, {fit.seed, {fit.call.threads, first.monitor()}});
    auto codec = codec_->clone();
    if (codec->learns()) {
        const InnerRows inner(rows, unit_, "the array");
        codec->fit(inner.rows(), {fit.seed, {fit.call.threads, rest.monitor()}});
    }
    set_up(std::move(hash), std::move(codec));
}

void LshTables::hash_and_encode(const Rows& rows, const Call& call) {
    const size_t before = codes_->n % kBlock;  // tasks end where blocks of codes do, as two threads may not share one
    const double work = double(rows.n) * double(rows.dim) * double(hash_->values());
    parallel_for((before + rows.n + kBlock - 1) / kBlock, threads_for(call, work), call, [&](size_t task, int) {
        const size_t first = std::max(task * kBlock, before) - before;
        const size_t n = std::min((task + 1) * kBlock - before, rows.n) - first;
        const Rows block = rows.slice(first, n);
        codec_->encode(InnerRows(block, unit_, "the array").rows(), nullptr, *codes_, codes_->n + first);
        std::vector<float> values(n * hash_->values());
        hash_->apply(block, LshHash::Side::row, "the array", values.data());
        for (size_t i = 0; i < n; ++i) {
            const float* mine = &values[i * hash_->values()];
            for (size_t t = 0; t < options_.tables; ++t) store_->put(first + i, t, hash_->slot(mine, t));
            hash_->sketch(mine, store_->put_sketch(first + i));
        }
    });
    if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
}

void LshTables::add(const Rows& rows, const Ids& ids, bool replace, const Call& call) {
    const Lock change(changing_);
    Lock lock(mutex_);
    check_ready();
    check_writable();
    check_dim(rows);
    const std::vector<uint32_t> replaced = members_.check_new(ids, rows.n, replace);
    if (rows.n == 0) return;
    const IdTable::Mark before = members_.mark();
    try {
        codes_->reserve(codes_->n + rows.n);
        store_->reserve(rows.n);
        hash_and_encode(rows, call);
        store_->prepare();
        members_.append(ids, rows.n, !replaced.empty());
    } catch (...) {
        members_.take_back(before);
        store_->drop();
        codes_->release_spare();
        throw;
    }
    store_->commit();
    codes_->n += rows.n;
    remove_rows(replaced, lock, {call.threads, nullptr});
}

Index::Undo LshTables::undo() {
    std::shared_lock lock(mutex_);
    return [this, before = members_.mark()] {
        const Lock change(changing_), again(mutex_);
        members_.take_back(before);
        if (!hash_) return;
        store_->truncate(before.rows);
        codes_->n = before.rows;
        codes_->release_spare();
    };
}

std::vector<uint32_t> LshTables::buckets(const Rows& rows, const Call& call) const {
    std::shared_lock lock(mutex_);
    check_ready();
    check_dim(rows);
    std::vector<uint32_t> slots(rows.n * options_.tables);
    const double work = double(rows.n) * double(rows.dim) * double(hash_->values());
    parallel_blocks(rows.n, kBlock, threads_for(call, work), call, [&](size_t first, size_t n) {
        std::vector<float> values(n * hash_->values());
        hash_->apply(rows.slice(first, n), LshHash::Side::row, "the array", values.data());
        for (size_t i = 0; i < n; ++i)
            for (size_t t = 0; t < options_.tables; ++t)
                slots[(first + i) * options_.tables + t] = hash_->slot(&values[i * hash_->values()], t);
    });
    return slots;
}

// By default a table's thirty-second part, and more candidates where sketches tell less: see bench/lsh_bars.py.
LshSettings LshTables::settings_for(const Settings& given, size_t k) const {
    const size_t probes = std::clamp<size_t>(store_->slots() / 32 / options_.tables, 8, 512);
    const size_t candidates = options_.sketch > 0 && k != SIZE_MAX ? 5120 / options_.sketch * k : SIZE_MAX;
    return {given.probes > 0 ? given.probes : probes, given.candidates > 0 ? given.candidates : candidates};
}

void LshTables::run(const Rows& queries, const TopK& empty, const Request& request, Take take) const {
    const FilterSets filters(request.filters, members_);
    const auto& sets = filters.sets();
    const LshSettings settings = settings_for(request.settings, empty.limit());
    const double met = double(std::min(settings.probes, store_->slots())) / double(store_->slots()) *
                       double(members_.rows()) * double(options_.tables);
    const double each = double(queries.dim) * double(hash_->values()) + 8 * met +
                        double(std::min(settings.candidates, members_.rows())) * double(queries.dim);
    const int threads = threads_for(request.call, double(queries.n) * each);
    // Few queries are shared one by one; of many, a task's are multiplied together.
    const size_t block = std::clamp<size_t>(queries.n / size_t(4 * threads), 1, kQueriesATask);
    struct Worker {
        LshSearch search;
        std::unique_ptr<Scorer> scorer;
    };
    std::vector<std::unique_ptr<Worker>> workers{size_t(threads)};
    parallel_for((queries.n + block - 1) / block, threads, request.call, [&](size_t task, int thread) {
        auto& worker = workers[size_t(thread)];
        if (!worker)
            worker.reset(
                new Worker{{*hash_, *store_, marks_, settings}, codec_->scorer(inner_metric(), *codes_, queries.dim)});
        const size_t first = task * block;
        const Rows some = queries.slice(first, std::min(block, queries.n - first));
        std::vector<float> values(some.n * hash_->values());
        hash_->apply(some, LshHash::Side::query, "the query", values.data());
        const InnerRows inner(some, unit_, "the query");
        for (size_t i = 0; i < some.n; ++i) {
            TopK top(empty);
            worker->scorer->query(inner.rows().slice(i, 1));
            const Bitset* allowed = sets.empty() ? nullptr : sets[sets.size() > 1 ? first + i : 0];
            worker->search.find(&values[i * hash_->values()], *worker->scorer, allowed, top);
            take(first + i, top.sorted());
        }
    });
}

void LshTables::keep(const std::vector<uint32_t>& live, Lock&, const Call&) {
    store_->keep(live);
    codes_->keep(live);
}

void LshTables::save(Writer& out) const {
    out.value("metric", name(metric_));
    out.value("family", name(options_.kind));
    out.value("tables", options_.tables);
    out.value("bits", options_.bits);
    out.value("sketch", options_.sketch);
    out.value("principal", options_.principal);
    out.value("width", options_.width);
    out.value("dim", dim_);
    out.part("codec", *codec_);
    members_.save(out);
    if (!hash_) return;
    Writer functions = out.child("functions", "lsh_hash");
    hash_->save(functions);
    codes_->save(out);
    store_->save(out);
}

std::unique_ptr<Index> LshTables::load(const Reader& in) {
    const auto codec = Registry<Codec>::load(in.child("codec"));
    LshOptions options;
    options.kind = lsh_kind_from(in.text("family", 32));
    options.tables = size_t(in.integer("tables", 1, kMostTables));
    options.bits = size_t(in.integer("bits", 1, kMostLshBits));
    options.sketch = size_t(in.integer("sketch", 0, kMostSketch));
    options.principal = in.integer("principal", 0, 1) != 0;
    options.width = in.real("width");
    auto index = std::make_unique<LshTables>(options, *codec, metric_from(in.text("metric", 16)));
    const size_t n = index->load_members(in), dim = index->dim_;
    if (dim == 0) return index;
    check<FormatError>(codec->is_fitted() && (codec->fitted_dim() == 0 || codec->fitted_dim() == dim), in.file(),
                       ": the codec does not fit rows of dimension ", dim);
    LshHash hash = LshHash::load(in.child("functions"), options, index->metric_, dim);
    // Tables of so many slots are made before they are read: the file has to hold them.
    for (size_t t = 0; t < options.tables; ++t)
        check<FormatError>(in.rows(concat("starts", t)) == (size_t(1) << options.bits) + 1, in.file(),
                           ": section starts", t, " has ", in.rows(concat("starts", t)), " rows for ", options.bits,
                           " bits");
    index->set_up(std::move(hash), std::move(index->codec_));
    index->codes_->load(in, n);
    index->store_->load(in, n);
    return index;
}

}  // namespace annkit
