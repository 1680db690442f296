#include "annkit/index/ivf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/answers.h"
#include "annkit/index/graph_lists.h"
#include "annkit/index/ivf_search.h"
#include "annkit/index/list_rows.h"
#include "annkit/index/unit_rows.h"
#include "annkit/math/bit_means.h"

namespace annkit {
namespace {

constexpr size_t kMaxDim = size_t(1) << 24, kMaxLists = size_t(1) << 24;
// Compaction when more than a quarter of the rows is dead: a removal then costs a few moved rows on average.
constexpr size_t kDeadShare = 4;
// The codec learns from so many residuals, or from more where it wants them.
constexpr size_t kCodecRows = 65536;
constexpr size_t kRounds = 10;

std::unique_ptr<Hnsw> load_graph(const Reader& in, std::string_view name) {
    const Reader part = in.child(name);
    check<FormatError>(part.kind() == "hnsw", in.file(), ": IVF has a ", part.kind(), " of centroids, expected hnsw");
    return std::unique_ptr<Hnsw>(static_cast<Hnsw*>(Hnsw::load(part).release()));
}

size_t default_nprobe(size_t lists) { return std::clamp<size_t>(lists / 64, 8, 64); }

}  // namespace

Ivf::Ivf(size_t lists, const Codec& codec, Metric metric, std::optional<bool> residual, const Hnsw* coarse)
    : n_lists_(lists),
      codec_(codec.clone()),
      coarse_(coarse != nullptr ? coarse->clone() : nullptr),
      metric_(metric),
      use_{metric == Metric::cosine ? Metric::ip : metric, residual.value_or(codec.prefers_residuals())} {
    check(lists >= 1 && lists <= kMaxLists, "IVF has ", lists, " lists, expected 1 to ", kMaxLists);
    check(codec.supports(metric), "metric \"", name(metric), "\" does not go with IVF over ", codec.repr());
    check(codec.in_lists(), "IVF does not take the codec ", codec.repr());
    check(!use_.residual || codec.takes_residuals(), "residual=True does not go with ", codec.repr(),
          ", which keeps rows as they are");
    if (!coarse_) return;
    check(coarse_->metric() == metric, "coarse=", coarse_->repr(), " does not go with metric \"", name(metric), "\"");
    check(!binary() || coarse_->decoded() == Dtype::bits, "coarse=", coarse_->repr(),
          " is not over bits, expected HNSW(codec=Bits())");
    check(coarse_->size() == 0, "coarse=", coarse_->repr(), " holds ", coarse_->size(), " rows, expected none");
}

std::string Ivf::repr() const {
    std::string text = concat("IVF(lists=", n_lists_, ", codec=", codec_->repr());
    if (use_.residual != codec_->prefers_residuals()) text += use_.residual ? ", residual=True" : ", residual=False";
    if (coarse_) text += concat(", coarse=", coarse_->repr());
    return text + concat(", metric=\"", name(metric_), "\")");
}

std::string Ivf::factory() const {
    std::string coarse = coarse_ ? coarse_->factory() : "";
    if (coarse.starts_with('B')) coarse.erase(0, 1);  // a graph of bits
    check(coarse.find(',') == std::string::npos, "no factory string has a word for ", repr());
    const std::string lists = concat("IVF", n_lists_, coarse_ ? "_" : "", coarse);
    const std::string codec = codec_->factory(use_.residual);
    return codec == "BFlat" ? "B" + lists : concat(lists, ",", codec);
}

size_t Ivf::size() const {
    std::shared_lock lock(mutex_);
    return members_.size();
}
std::unique_ptr<Codec> Ivf::codec_copy() const {
    std::shared_lock lock(mutex_);
    return codec_->clone();
}
size_t Ivf::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}

std::vector<MemoryEntry> Ivf::memory() const {
    std::shared_lock lock(mutex_);
    std::vector<MemoryEntry> entries;
    if (lists_) lists_->memory(entries);
    size_t coarse = centroids_.capacity() * sizeof(float);
    if (finder_) coarse += finder_->nbytes();
    if (bit_lists_) coarse += bit_lists_->centroids().codes().capacity();
    if (nearest_) coarse += 2 * centroids_.size() * sizeof(float);
    entries.push_back({"centroids", coarse});
    if (graph_) entries.push_back({"graph of centroids", graph_->nbytes()});
    entries.push_back({"ids", members_.nbytes()});
    return entries;
}

Dtype Ivf::query_type(Dtype given) const {
    if (given == Dtype::u8 && codec_->accepts(Dtype::bits)) return Dtype::bits;
    if (!codec_->accepts(given))
        fail<TypeError>("the array has dtype ", annkit::name(given), ", ", repr(), " expects ", codec_->expects());
    return given;
}

void Ivf::check_ready() const {
    if (!lists_) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
}

std::unique_ptr<Index> Ivf::graph_of(const Rows& centroids, const Call& call) const {
    if (!coarse_) return nullptr;
    auto graph = coarse_->clone();
    graph->fit(centroids, {0, call});
    graph->add(centroids, {}, false, call);
    return graph;
}

void Ivf::set_up(size_t dim, std::vector<float> centroids, std::unique_ptr<Index> graph) {
    dim_ = dim;
    centroids_ = std::move(centroids);
    nearest_.reset();
    finder_.reset();
    graph_ = std::move(graph);
    if (!graph_) finder_.emplace(std::span<const float>(centroids_), dim, use_.metric == Metric::ip);
    lists_.emplace(*codec_, n_lists_, dim, use_, centroids_);
}

void Ivf::set_up_bits(size_t dim, NearestCodes centroids, std::unique_ptr<Index> graph) {
    dim_ = dim;
    bit_lists_.emplace(std::move(centroids));
    graph_ = std::move(graph);
    lists_.emplace(bits_, n_lists_, 8 * bit_lists_->centroids().bytes(), use_, std::span<const float>());
}

void Ivf::fit(const Rows& rows, const Fit& fit) {
    std::unique_lock lock(mutex_);
    check(members_.rows() == 0, "the index holds ", members_.size(), " rows, fit wants an empty one");
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(rows.n >= n_lists_, "IVF with ", n_lists_, " lists learns from at least as many rows, got ", rows.n);
    if (binary()) return fit_bits(rows, fit);
    Phase first(fit.call.monitor, 0, 0.8), rest(fit.call.monitor, 0.8, 0.9), end(fit.call.monitor, 0.9, 1);
    KMeansOptions options;
    options.k = n_lists_;
    options.rounds = kRounds;
    options.spherical = unit();
    const InnerRows inner(rows, unit(), "the array");
    KMeansResult trained = kmeans(inner.rows(), options, {fit.seed, {fit.call.threads, first.monitor()}});
    // What is learned takes the place of what was only when all of it is there.
    std::unique_ptr<Codec> codec = codec_->clone();
    const Fit last{fit.seed + 1, {fit.call.threads, rest.monitor()}};
    const std::vector<float> sample = codec_sample(inner.rows(), trained.centroids, last);
    codec->fit(Rows::of(sample.data(), sample.size() / rows.dim, rows.dim), last);
    auto graph = graph_of(Rows::of(trained.centroids.data(), n_lists_, rows.dim), {fit.call.threads, end.monitor()});
    lists_.reset();
    codec_ = std::move(codec);
    set_up(rows.dim, std::move(trained.centroids), std::move(graph));
}

// The codec first: the lists are of its codes.
void Ivf::fit_bits(const Rows& rows, const Fit& fit) {
    Phase first(fit.call.monitor, 0, 0.05), coded(fit.call.monitor, 0.05, 0.1);
    Phase rest(fit.call.monitor, 0.1, 0.9), end(fit.call.monitor, 0.9, 1);
    std::unique_ptr<Codec> codec = codec_->clone();
    codec->fit(rows, {fit.seed + 1, {fit.call.threads, first.monitor()}});
    const ListRows bits(*codec, metric_, rows, "the array", {fit.call.threads, coded.monitor()});
    NearestCodes centroids = bit_means(bits.rows(), n_lists_, kRounds, {fit.seed, {fit.call.threads, rest.monitor()}});
    auto graph = graph_of(centroids.rows(), {fit.call.threads, end.monitor()});
    lists_.reset();
    codec_ = std::move(codec);
    set_up_bits(rows.dim, std::move(centroids), std::move(graph));
}

// Rows, or what is left of them beyond their centroid.
std::vector<float> Ivf::codec_sample(const Rows& rows, const std::vector<float>& centroids, const Fit& fit) const {
    if (!codec_->learns()) return {};
    const size_t n = std::min(rows.n, std::max(kCodecRows, codec_->rows_wanted()));
    std::vector<uint32_t> chosen(rows.n);
    for (uint32_t i = 0; i < rows.n; ++i) chosen[i] = i;
    Random random(fit.seed);
    for (size_t i = 0; i < n && n < rows.n; ++i) std::swap(chosen[i], chosen[i + random.below(rows.n - i)]);
    std::vector<float> sample(n * rows.dim);
    for (size_t i = 0; i < n; ++i) {
        const FloatBlock one(rows.slice(chosen[i], 1), "the array");
        std::memcpy(&sample[i * rows.dim], one.row(0), rows.dim * sizeof(float));
    }
    if (!use_.residual) return sample;
    std::vector<uint32_t> nearest(n);
    Nearest(centroids, rows.dim, unit()).find(Rows::of(sample.data(), n, rows.dim), nearest.data(), nullptr, fit.call);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < rows.dim; ++j) sample[i * rows.dim + j] -= centroids[nearest[i] * rows.dim + j];
    return sample;
}

void Ivf::assign(const Rows& rows, std::vector<uint32_t>& list_of, const Call& call) {
    constexpr size_t kBlock = 65536;
    list_of.resize(rows.n);
    // Comparing rows with so many centroids is no slower than a graph (`bars.py coarse`). By metric "ip" the graph
    // would not find the nearest at all.
    constexpr size_t kCompared = 32768;
    const bool by_graph = graph_ && metric_ != Metric::ip && n_lists_ > kCompared;
    if (!by_graph && !nearest_ && !binary()) nearest_.emplace(std::span<const float>(centroids_), dim_, unit());
    std::vector<float> scores(by_graph || binary() ? std::min(kBlock, rows.n) : 0);
    for (size_t first = 0; first < rows.n; first += kBlock) {
        const size_t n = std::min(kBlock, rows.n - first);
        Phase phase(call.monitor, double(first) / double(rows.n), double(first + n) / double(rows.n));
        const Call part{call.threads, phase.monitor()};
        const Rows inner = rows.slice(first, n);
        const InnerRows scaled(inner, unit(), "the array");
        if (by_graph)
            GraphLists(*graph_, centroids_, unit(), 0).find(scaled.rows(), 1, part, &list_of[first], scores.data());
        else if (binary())
            bit_lists_->find(inner, 1, part, &list_of[first], scores.data());
        else
            nearest_->find(scaled.rows(), &list_of[first], nullptr, part);
    }
}

void Ivf::check_writable() const {
    check(!lists_ || !lists_->is_view(), "the index is mapped read-only; load it with mmap=False to change it");
}

void Ivf::add(const Rows& given, const Ids& ids, bool replace, const Call& call) {
    std::unique_lock lock(mutex_);
    check_ready();
    check_writable();
    check(given.dim == dim_, "the array has dimension ", given.dim, ", the index has ", dim_);
    const std::vector<uint32_t> replaced = members_.check_new(ids, given.n, replace);
    if (given.n == 0) return;
    std::optional<ListRows> bits;
    Phase coded(call.monitor, 0, 0.1);
    if (binary()) bits.emplace(*codec_, metric_, given, "the array", Call{call.threads, coded.monitor()});
    const Rows& rows = bits ? bits->rows() : given;
    Phase first(call.monitor, 0.1, 0.6), rest(call.monitor, 0.6, 1);
    std::vector<uint32_t> list_of;
    assign(rows, list_of, {call.threads, first.monitor()});
    try {
        lists_->encode(rows, list_of, uint32_t(members_.rows()), unit(), {call.threads, rest.monitor()});
        if (call.monitor) call.monitor->progress(rows.n, rows.n);  // before the rows count: a callback may still raise
        members_.append(ids, rows.n);
    } catch (...) {
        lists_->drop();
        throw;
    }
    lists_->commit();
    if (rows.n >= n_lists_)
        nearest_.reset();  // it takes twice the centroids' memory, and little time to make beside so many
    members_.remove(replaced);
    if (members_.removed() * kDeadShare > members_.rows()) compact_rows();
}

Index::Undo Ivf::undo() {
    std::shared_lock lock(mutex_);
    return [this, before = members_.mark()] {
        std::unique_lock again(mutex_);
        if (lists_) lists_->truncate(before.rows);
        members_.take_back(before);
    };
}

void Ivf::run(const Rows& queries, const TopK& empty, const Request& request, const Take& take) const {
    const FilterSets filters(request.filters, members_);
    const ListRows inner(*codec_, metric_, queries, "the query", request.call);
    const size_t nprobe = request.settings.nprobe > 0 ? request.settings.nprobe : default_nprobe(n_lists_);
    std::optional<GraphLists> by_graph;
    if (graph_) by_graph.emplace(*graph_, centroids_, use_.metric == Metric::ip, request.settings.ef);
    const Coarse* compared = bit_lists_ ? static_cast<const Coarse*>(&*bit_lists_) : finder_ ? &*finder_ : nullptr;
    const Coarse& coarse = by_graph ? *by_graph : *compared;
    ListSearch{stored(),
               use_,
               coarse,
               *lists_,
               empty,
               {filters.sets()},
               std::min(nprobe, n_lists_),
               request.settings.estimates,
               request.settings.spread}
        .run(inner.rows(), request.call, take);
}

void Ivf::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    std::shared_lock lock(mutex_);
    check_ready();
    check_queries(queries, dim_, request.filters);
    check(request.settings.spread == 0 || metric_ != Metric::ip,
          "spread compares distances, which metric \"ip\" does not have");
    const Answering answering{members_, metric_, unit(), tie_order()};
    answering.nearest(queries.n, k, out,
                      [&](const TopK& empty, const Answering::Take& take) { run(queries, empty, request, take); });
}

RangeAnswer Ivf::range_search(const Rows& queries, float radius, const Request& request) const {
    std::shared_lock lock(mutex_);
    check_ready();
    check_queries(queries, dim_, request.filters);
    const Answering answering{members_, metric_, unit(), tie_order()};
    return answering.within(
        queries.n, radius, [&](const TopK& empty, const Answering::Take& take) { run(queries, empty, request, take); });
}

void Ivf::remove(std::span<const int64_t> ids) {
    std::unique_lock lock(mutex_);
    check_writable();
    members_.remove(members_.rows_of(ids));
    if (members_.removed() * kDeadShare > members_.rows()) compact_rows();
}

void Ivf::compact() {
    std::unique_lock lock(mutex_);
    check_writable();
    if (members_.removed() > 0) compact_rows();
}

void Ivf::compact_rows() {
    const std::vector<uint32_t> live = members_.live_rows();
    lists_->keep(live);
    members_.keep(live);
}

void Ivf::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    const std::vector<uint32_t> rows = members_.rows_of(ids);
    const std::vector<Lists::Place> places = lists_ ? lists_->places(rows) : std::vector<Lists::Place>();
    auto* to = static_cast<std::byte*>(out);
    const size_t bytes = codec_->decoded() == Dtype::bits ? dim_ / 8 : dim_ * element_size(codec_->decoded());
    for (size_t i = 0; i < rows.size(); ++i, to += bytes) {
        const Partition& partition = lists_->partitions()[places[i].list];
        codec_->decode(*partition.codes, places[i].position, dim_, to);
        if (partition.centroid == nullptr) continue;
        auto* x = reinterpret_cast<float*>(to);
        for (size_t j = 0; j < dim_; ++j) x[j] += partition.centroid[j];
    }
}

std::vector<int64_t> Ivf::ids() const {
    std::shared_lock lock(mutex_);
    std::vector<int64_t> all;
    for (uint32_t row : members_.live_rows()) all.push_back(members_.id(row));
    return all;
}

Index::Held Ivf::hold() const {
    Held held;
    held.emplace_back(mutex_);
    return held;
}

void Ivf::save(Writer& out) const {
    out.value("metric", name(metric_));
    out.value("lists", int64_t(n_lists_));
    out.value("residual", int64_t(use_.residual));
    out.value("dim", int64_t(dim_));
    out.part("codec", *codec_);
    if (coarse_) out.part("coarse", *coarse_);
    members_.save(out);
    if (!lists_) return;
    if (binary())
        out.array("centroids", bit_lists_->centroids().codes(), bit_lists_->centroids().bytes());
    else
        out.array("centroids", centroids_, dim_);
    if (graph_) out.part("graph", *graph_);
    lists_->save(out);
}

// dim: of the centroids.
std::unique_ptr<Index> Ivf::load_graph_of_lists(const Reader& in, size_t dim) const {
    if (!coarse_) return nullptr;
    std::unique_ptr<Index> graph = load_graph(in, "graph");
    std::vector<int64_t> numbers(n_lists_);
    std::iota(numbers.begin(), numbers.end(), 0);
    check<FormatError>(graph->repr() == coarse_->repr() && graph->dim() == dim && graph->ids() == numbers, in.file(),
                       ": the graph of centroids is not that of ", n_lists_, " lists of dimension ", dim);
    return graph;
}

void Ivf::load_bits(const Reader& in, size_t dim) {
    check<FormatError>(codec_->decoded() != Dtype::bits || dim % 8 == 0, in.file(), ": ", dim,
                       " bits a row, expected a multiple of 8");
    const size_t bytes = codec_->make_codes(dim, use_).code_bytes();
    const auto codes = in.array<uint8_t>("centroids", n_lists_, bytes);
    set_up_bits(dim, NearestCodes({codes.begin(), codes.end()}, bytes), load_graph_of_lists(in, 8 * bytes));
}

std::unique_ptr<Index> Ivf::load(const Reader& in) {
    const auto codec = Registry<Codec>::load(in.child("codec"));
    const auto lists = size_t(in.integer("lists", 1, int64_t(kMaxLists)));
    const auto coarse = in.has("coarse") ? load_graph(in, "coarse") : nullptr;
    auto index = std::make_unique<Ivf>(lists, *codec, metric_from(in.text("metric", 16)),
                                       in.integer("residual", 0, 1) != 0, coarse.get());
    const auto dim = size_t(in.integer("dim", 0, kMaxDim));
    Members::load(in, index->members_);
    const size_t n = index->members_.rows();
    check<FormatError>(dim > 0 || n == 0, in.file(), ": ", n, " rows of dimension 0");
    if (dim == 0) return index;
    check<FormatError>(codec->is_fitted() && (codec->fitted_dim() == 0 || codec->fitted_dim() == dim), in.file(),
                       ": the codec does not fit rows of dimension ", dim);
    if (index->binary()) {
        index->load_bits(in, dim);
        index->lists_->load(in, n);
        return index;
    }
    const auto centroids = in.array<float>("centroids", lists, dim);
    for (float x : centroids)
        check<FormatError>(double(x) * x * double(dim) <= double(std::numeric_limits<float>::max()) / 4, in.file(),
                           ": a centroid has the value ", double(x));
    index->set_up(dim, {centroids.begin(), centroids.end()}, index->load_graph_of_lists(in, dim));
    index->lists_->load(in, n);
    return index;
}

}  // namespace annkit
