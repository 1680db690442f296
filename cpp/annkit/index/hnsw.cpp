#include "annkit/index/hnsw.h"

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kLeastDegree = 4, kMostDegree = 1024, kMostEfBuild = 100'000;

}  // namespace

Hnsw::Hnsw(size_t degree, size_t ef_build, const Codec& codec, const Codec* build_codec, Metric metric)
    : RowIndex(codec, metric, codec.wants_unit_rows(metric)),
      ef_build_(ef_build),
      build_codec_(build_codec != nullptr ? build_codec->clone() : nullptr),
      graph_(degree) {
    check(degree >= kLeastDegree && degree <= kMostDegree, "HNSW has degree ", degree, ", expected ", kLeastDegree,
          " to ", kMostDegree);
    check(ef_build >= 1 && ef_build <= kMostEfBuild, "HNSW has ef_build ", ef_build, ", expected 1 to ", kMostEfBuild);
    codec_->check_supports(metric);
    check(!build_codec_ || (build_codec_->accepts(codec_->decoded()) && build_codec_->supports(metric)),
          "build_codec=", build_codec_ ? build_codec_->repr() : "", " does not go with codec ", codec_->repr());
}

std::string Hnsw::repr() const {
    std::string text = concat("HNSW(degree=", degree());
    if (ef_build_ != kDefaultEfBuild) text += concat(", ef_build=", ef_build_);
    text += concat(", codec=", codec_->repr());
    if (build_codec_) text += concat(", build_codec=", build_codec_->repr());
    return text + concat(", metric=\"", name(metric_), "\")");
}

// Faiss counts the links of the layers above the base, which has twice as many.
std::string Hnsw::factory() const {
    check(degree() % 2 == 0 && ef_build_ == kDefaultEfBuild && !build_codec_, "no factory string has a word for ",
          repr());
    const std::string codec = codec_->factory({});
    const std::string graph = concat("HNSW", degree() / 2);
    return codec == "BFlat" ? "B" + graph : codec == "Flat" ? graph : graph + "," + codec;
}

bool Hnsw::has_learned() const { return codec_->is_fitted() && (!build_codec_ || build_codec_->is_fitted()); }

void Hnsw::measure(std::vector<MemoryEntry>& entries) const {
    if (codes_) {
        entries.push_back({"codes", codes_->code_memory()});
        entries.push_back({"factors", codes_->side_memory()});
    }
    entries.push_back({"links", graph_.nbytes()});
    if (build_codec_ && build_codec_->nbytes() > 0) entries.push_back({"build codec", build_codec_->nbytes()});
}

void Hnsw::fit(const Rows& rows, const Fit& fit) {
    const Lock change(changing_), lock(mutex_);
    if (!codec_->learns() && !(build_codec_ && build_codec_->learns())) return;
    check_empty();
    const InnerRows inner(rows, unit_, "the array");
    auto codec = codec_->clone(), build_codec = build_codec_ ? build_codec_->clone() : nullptr;
    codec->fit(inner.rows(), fit);
    if (build_codec) build_codec->fit(inner.rows(), fit);
    if (fit.call.monitor) fit.call.monitor->progress(1, 1);  // before anything changes: a callback may still raise
    forget_searches();
    codes_.reset();
    dim_ = rows.dim;
    codec_ = std::move(codec);
    build_codec_ = std::move(build_codec);
}

void Hnsw::save(Writer& out) const {
    out.value("metric", name(metric_));
    out.value("degree", int64_t(degree()));
    out.value("ef_build", int64_t(ef_build_));
    out.value("dim", int64_t(dim_));
    out.part("codec", *codec_);
    if (build_codec_) out.part("build_codec", *build_codec_);
    members_.save(out);
    if (!codes_) return;
    Writer graph = out.child("graph", "graph");
    graph_.save(graph);
    codes_->save(out);
}

std::unique_ptr<Index> Hnsw::load(const Reader& in) {
    const auto codec = Registry<Codec>::load(in.child("codec"));
    const auto build_codec = in.has("build_codec") ? Registry<Codec>::load(in.child("build_codec")) : nullptr;
    const auto degree = size_t(in.integer("degree", kLeastDegree, kMostDegree));
    const auto ef_build = size_t(in.integer("ef_build", 1, kMostEfBuild));
    auto index =
        std::make_unique<Hnsw>(degree, ef_build, *codec, build_codec.get(), metric_from(in.text("metric", 16)));
    const size_t n = index->load_members(in);
    if (index->dim_ == 0) return index;
    if (!index->has_learned()) {
        check<FormatError>(n == 0, in.file(), ": ", n, " rows of a codec that has not been fitted");
        return index;
    }
    for (const Codec* one : {codec.get(), build_codec.get()})
        check<FormatError>(one == nullptr || one->fitted_dim() == 0 || one->fitted_dim() == index->dim_, in.file(),
                           ": a codec of another dimension in an index of ", index->dim_);
    if (n == 0 && !in.has("column0")) return index;  // fitted, and no rows so far
    index->codes_.emplace(codec->make_codes(index->dim_, index->code_use()));
    index->codes_->load(in, n);
    index->graph_.load(in.child("graph"), n);
    return index;
}

}  // namespace annkit
