#include "annkit/index/hnsw.h"

#include <algorithm>
#include <mutex>

#include "annkit/core/errors.h"
#include "annkit/core/reader.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/index/answers.h"
#include "annkit/index/unit_rows.h"

namespace annkit {
namespace {

constexpr size_t kMaxDim = size_t(1) << 24;
constexpr size_t kLeastDegree = 4, kMostDegree = 1024, kMostEfBuild = 100'000;

}  // namespace

Hnsw::Hnsw(size_t degree, size_t ef_build, const Codec& codec, const Codec* build_codec, Metric metric)
    : ef_build_(ef_build),
      codec_(codec.clone()),
      build_codec_(build_codec != nullptr ? build_codec->clone() : nullptr),
      metric_(metric),
      unit_(metric == Metric::cosine && codec.in_lists()),
      graph_(degree) {
    check(degree >= kLeastDegree && degree <= kMostDegree, "HNSW has degree ", degree, ", expected ", kLeastDegree,
          " to ", kMostDegree);
    check(ef_build >= 1 && ef_build <= kMostEfBuild, "HNSW has ef_build ", ef_build, ", expected 1 to ", kMostEfBuild);
    check(codec_->supports(metric), "metric \"", name(metric), "\" does not go with codec ", codec_->repr(),
          metric == Metric::hamming ? ", expected Bits() or SignBits()" : ", expected metric \"hamming\"");
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

bool Hnsw::is_fitted() const { return codec_->is_fitted() && (!build_codec_ || build_codec_->is_fitted()); }

size_t Hnsw::size() const {
    std::shared_lock lock(mutex_);
    return members_.size();
}
std::unique_ptr<Codec> Hnsw::codec_copy() const {
    std::shared_lock lock(mutex_);
    return codec_->clone();
}
size_t Hnsw::dim() const {
    std::shared_lock lock(mutex_);
    return dim_;
}

std::vector<MemoryEntry> Hnsw::memory() const {
    std::shared_lock lock(mutex_);
    std::vector<MemoryEntry> entries;
    if (codes_) {
        entries.push_back({"codes", codes_->code_memory()});
        entries.push_back({"factors", codes_->side_memory()});
    }
    entries.push_back({"links", graph_.nbytes()});
    entries.push_back({"ids", members_.nbytes()});
    return entries;
}

Dtype Hnsw::query_type(Dtype given) const {
    const Dtype type = given == Dtype::u8 && codec_->accepts(Dtype::bits) ? Dtype::bits : given;
    if (!codec_->accepts(type))
        fail<TypeError>("the array has dtype ", annkit::name(given), ", ", repr(), " expects ", codec_->expects());
    return type;
}

void Hnsw::check_ready() const {
    if (!is_fitted()) fail<NotFittedError>(repr(), " has not been fitted; call fit(x) first");
}

void Hnsw::check_writable() const {
    check((!codes_ || !codes_->is_view()) && !graph_.is_view(),
          "the index is mapped read-only; load it with mmap=False to change it");
}

void Hnsw::fit(const Rows& rows, const Fit& fit) {
    std::unique_lock change(changing_);
    std::unique_lock lock(mutex_);
    const bool learns = codec_->learns() || (build_codec_ && build_codec_->learns());
    check(members_.rows() == 0 || !learns, "the index holds ", members_.size(), " rows, fit wants an empty one");
    if (!learns) return;
    const InnerRows inner(rows, unit_, "the array");
    auto codec = codec_->clone(), build_codec = build_codec_ ? build_codec_->clone() : nullptr;
    codec->fit(inner.rows(), fit);
    if (build_codec) build_codec->fit(inner.rows(), fit);
    codes_.reset();
    dim_ = rows.dim;
    codec_ = std::move(codec);
    build_codec_ = std::move(build_codec);
}

void Hnsw::reconstruct(std::span<const int64_t> ids, void* out) const {
    std::shared_lock lock(mutex_);
    const std::vector<uint32_t> rows = members_.rows_of(ids);
    auto* to = static_cast<std::byte*>(out);
    const size_t bytes = codec_->decoded() == Dtype::bits ? dim_ / 8 : dim_ * element_size(codec_->decoded());
    for (size_t i = 0; i < rows.size(); ++i) codec_->decode(*codes_, rows[i], dim_, to + i * bytes);
}

std::vector<int64_t> Hnsw::ids() const {
    std::shared_lock lock(mutex_);
    std::vector<int64_t> all;
    for (uint32_t row : members_.live_rows()) all.push_back(members_.id(row));
    return all;
}

Index::Held Hnsw::hold() const {
    Held held;
    held.emplace_back(changing_);
    held.emplace_back(mutex_);
    return held;
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
    index->dim_ = size_t(in.integer("dim", 0, kMaxDim));
    Members::load(in, index->members_);
    const size_t n = index->members_.rows();
    check<FormatError>(index->dim_ > 0 || n == 0, in.file(), ": ", n, " rows of dimension 0");
    if (index->dim_ == 0) return index;
    check<FormatError>(codec->decoded() != Dtype::bits || index->dim_ % 8 == 0, in.file(), ": ", index->dim_,
                       " bits a row, expected a multiple of 8");
    if (!index->is_fitted()) {
        check<FormatError>(n == 0, in.file(), ": ", n, " rows of a codec that has not been fitted");
        return index;
    }
    for (const Codec* one : {codec.get(), build_codec.get()})
        check<FormatError>(one == nullptr || one->fitted_dim() == 0 || one->fitted_dim() == index->dim_, in.file(),
                           ": a codec of another dimension in an index of ", index->dim_);
    if (n == 0 && !in.has("column0")) return index;  // fitted, and no rows so far
    index->codes_.emplace(codec->make_codes(index->dim_, {index->inner_metric()}));
    index->codes_->load(in, n);
    index->graph_.load(in.child("graph"), n);
    return index;
}

}  // namespace annkit
