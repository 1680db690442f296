#include "annkit/index/ivf.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/graph_lists.h"
#include "annkit/index/ivf_search.h"
#include "annkit/index/list_rows.h"

namespace annkit {
namespace {

constexpr size_t kMaxLists = size_t(1) << 24;

std::unique_ptr<Hnsw> load_graph(const Reader& in, std::string_view name) {
    const Reader part = in.child(name);
    check<FormatError>(part.kind() == "hnsw", in.file(), ": IVF has a ", part.kind(), " of centroids, expected hnsw");
    return std::unique_ptr<Hnsw>(static_cast<Hnsw*>(Hnsw::load(part).release()));
}

// Whoever does not know the center does not find centroids that are relative to it.
std::string_view centroids_section(bool centered) { return centered ? "centroids_around_center" : "centroids"; }

std::vector<float> load_points(const Reader& in, std::string_view name, size_t n, size_t dim) {
    const auto points = in.array<float>(name, n, dim);
    for (float x : points)
        check<FormatError>(double(x) * x * double(dim) <= double(std::numeric_limits<float>::max()) / 4, in.file(),
                           ": a centroid has the value ", double(x));
    return {points.begin(), points.end()};
}

size_t default_nprobe(size_t lists) { return std::clamp<size_t>(lists / 64, 8, 64); }

}  // namespace

Ivf::Ivf(size_t lists, const Codec& codec, Metric metric, std::optional<bool> residual, const Hnsw* coarse)
    : RowIndex(codec, metric, codec.wants_unit_rows(metric)),
      n_lists_(lists),
      coarse_(coarse != nullptr ? coarse->clone() : nullptr),
      use_{inner_metric(), residual.value_or(codec.prefers_residuals())} {
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

void Ivf::measure(std::vector<MemoryEntry>& entries) const {
    if (lists_) lists_->memory(entries);
    size_t coarse = (graph_rows_.capacity() + center_.capacity()) * sizeof(float);
    if (finder_) coarse += finder_->nbytes();
    if (bit_lists_) coarse += bit_lists_->centroids().codes().capacity();
    if (nearest_) coarse += nearest_->nbytes();
    entries.push_back({"centroids", coarse});
    if (graph_) entries.push_back({"graph of centroids", graph_->nbytes()});
}

// All of it is there before anything changes.
void Ivf::set_up(size_t dim, std::unique_ptr<Codec> codec, std::vector<float> centroids, std::unique_ptr<Index> graph,
                 std::vector<float> center) {
    std::optional<ListFinder> finder;
    if (!graph) finder.emplace(std::span<const float>(centroids), dim, is_product(use_.metric));
    Lists lists(*codec, n_lists_, dim, use_, centroids);
    nearest_.reset();
    dim_ = dim;
    center_ = std::move(center);
    lists_.emplace(std::move(lists));
    codec_ = std::move(codec);
    graph_rows_ = graph ? std::move(centroids) : std::vector<float>();
    finder_ = std::move(finder);
    graph_ = std::move(graph);
}

void Ivf::copy_centroid(size_t list, float* out) const {
    finder_ ? finder_->centroid(list, out) : void(std::copy_n(&graph_rows_[list * dim_], dim_, out));
}

std::vector<float> Ivf::centroids() const {
    std::vector<float> all(n_lists_ * dim_);
    for (size_t i = 0; i < n_lists_; ++i) copy_centroid(i, &all[i * dim_]);
    return all;
}

void Ivf::set_up_bits(size_t dim, std::unique_ptr<Codec> codec, NearestCodes centroids, std::unique_ptr<Index> graph) {
    Lists lists(bits_, n_lists_, 8 * centroids.bytes(), use_, {});
    dim_ = dim;
    codec_ = std::move(codec);
    bit_lists_ = BitLists(std::move(centroids));
    graph_ = std::move(graph);
    lists_.emplace(std::move(lists));
}

void Ivf::search(const Rows& queries, size_t k, const Request& request, const Answer& out) const {
    check(request.settings.spread == 0 || metric_ != Metric::ip,
          "spread compares distances, which metric \"ip\" does not have");
    RowIndex::search(queries, k, request, out);
}

void Ivf::run(const Rows& queries, const TopK& empty, const Request& request, Take take) const {
    const FilterSets filters(request.filters, members_);
    const ListRows inner(*codec_, metric_, queries, "the query", request.call, center_);
    const size_t nprobe = request.settings.nprobe > 0 ? request.settings.nprobe : default_nprobe(n_lists_);
    std::optional<GraphLists> by_graph;
    if (graph_) by_graph.emplace(*graph_, graph_rows_, is_product(use_.metric), request.settings.ef);
    const Coarse* compared = bit_lists_ ? static_cast<const Coarse*>(&*bit_lists_) : finder_ ? &*finder_ : nullptr;
    const Coarse& coarse = by_graph ? *by_graph : *compared;
    // One in so many rows that a filter lets through is looked up, as `bars.py ivf-filter` shows; of compact codes,
    // which a tile scores many times as fast as rows one by one, one in more.
    constexpr size_t kFewRows = 8, kFewCodes = 32;
    const auto sets = filters.sets();
    const size_t one_in = lists_->partitions()[0].codes->code_bytes() < 2 * dim_ ? kFewCodes : kFewRows;
    const bool few = sets.size() == 1 && stored().has_certain_bounds() && one_in * sets[0]->count() <= members_.rows();
    ListSearch{stored(),
               use_,
               coarse,
               *lists_,
               members_.rows(),
               empty,
               {sets, few},
               std::min(nprobe, n_lists_),
               request.settings.estimates,
               request.settings.spread}
        .run(inner.rows(), request.call, take);
}

void Ivf::decode(std::span<const uint32_t> rows, std::byte* out) const {
    const std::vector<Lists::Place> places = lists_->places(rows);
    std::vector<float> center(dim_);
    for (size_t i = 0; i < rows.size(); ++i, out += row_bytes()) {
        const Partition& partition = lists_->partitions()[places[i].list];
        codec_->decode(*partition.codes, places[i].position, dim_, out);
        if (!partition.residual) continue;
        copy_centroid(places[i].list, center.data());
        auto* x = reinterpret_cast<float*>(out);
        for (size_t j = 0; j < dim_; ++j) x[j] += center[j];
        for (size_t j = 0; j < center_.size(); ++j) x[j] += center_[j];
    }
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
        out.array(centroids_section(!center_.empty()), centroids(), dim_);
    if (!center_.empty()) out.array("center", center_, dim_);
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
    const size_t bytes = codec_->make_codes(dim, use_).code_bytes();
    const auto codes = in.array<uint8_t>("centroids", n_lists_, bytes);
    set_up_bits(dim, std::move(codec_), NearestCodes({codes.begin(), codes.end()}, bytes),
                load_graph_of_lists(in, 8 * bytes));
}

std::unique_ptr<Index> Ivf::load(const Reader& in) {
    const auto codec = Registry<Codec>::load(in.child("codec"));
    const auto lists = size_t(in.integer("lists", 1, int64_t(kMaxLists)));
    const auto coarse = in.has("coarse") ? load_graph(in, "coarse") : nullptr;
    auto index = std::make_unique<Ivf>(lists, *codec, metric_from(in.text("metric", 16)),
                                       in.integer("residual", 0, 1) != 0, coarse.get());
    const size_t n = index->load_members(in), dim = index->dim_;
    if (dim == 0) return index;
    check<FormatError>(codec->is_fitted() && (codec->fitted_dim() == 0 || codec->fitted_dim() == dim), in.file(),
                       ": the codec does not fit rows of dimension ", dim);
    if (index->binary()) {
        index->load_bits(in, dim);
        index->lists_->load(in, n);
        return index;
    }
    const bool centered = index->centers() && in.has("center");
    const std::vector<float> center = centered ? load_points(in, "center", 1, dim) : std::vector<float>();
    index->set_up(dim, std::move(index->codec_), load_points(in, centroids_section(centered), lists, dim),
                  index->load_graph_of_lists(in, dim), center);
    index->lists_->load(in, n);
    return index;
}

}  // namespace annkit
