// How an IVF index learns: centroids, a graph of them, and the codec.
#include <algorithm>
#include <cstring>

#include "annkit/core/errors.h"
#include "annkit/core/random.h"
#include "annkit/index/ivf.h"
#include "annkit/index/list_rows.h"
#include "annkit/index/unit_rows.h"
#include "annkit/math/bit_means.h"
#include "annkit/math/kmeans.h"

namespace annkit {
namespace {

// The codec learns from so many residuals, or from more where it wants them.
constexpr size_t kCodecRows = 65536;
constexpr size_t kRounds = 10;

}  // namespace

std::unique_ptr<Index> Ivf::graph_of(const Rows& centroids, const Call& call) const {
    if (!coarse_) return nullptr;
    auto graph = coarse_->clone();
    graph->fit(centroids, {0, call});
    graph->add(centroids, {}, false, call);
    return graph;
}

void Ivf::fit(const Rows& rows, const Fit& fit) {
    const Lock change(changing_), lock(mutex_);
    check_empty();
    check(rows.dim > 0 && rows.dim <= kMaxDim, "the array has ", rows.dim, " columns, expected 1 to ", kMaxDim);
    check(rows.n >= n_lists_, "IVF with ", n_lists_, " lists learns from at least as many rows, got ", rows.n);
    if (binary()) return fit_bits(rows, fit);
    Phase first(fit.call.monitor, 0, 0.8), rest(fit.call.monitor, 0.8, 0.9), end(fit.call.monitor, 0.9, 1);
    KMeansOptions options;
    options.k = n_lists_;
    options.rounds = kRounds;
    options.spherical = unit_;
    const InnerRows inner(rows, unit_, "the array");
    KMeansResult trained = kmeans(inner.rows(), options, {fit.seed, {fit.call.threads, first.monitor()}});
    // What is learned takes the place of what was only when all of it is there.
    std::unique_ptr<Codec> codec = codec_->clone();
    const Fit last{fit.seed + 1, {fit.call.threads, rest.monitor()}};
    const std::vector<float> sample = codec_sample(inner.rows(), trained.centroids, last);
    codec->fit(Rows::of(sample.data(), sample.size() / rows.dim, rows.dim), last);
    auto graph = graph_of(Rows::of(trained.centroids.data(), n_lists_, rows.dim), {fit.call.threads, end.monitor()});
    set_up(rows.dim, std::move(codec), std::move(trained.centroids), std::move(graph));
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
    set_up_bits(rows.dim, std::move(codec), std::move(centroids), std::move(graph));
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
    Nearest(centroids, rows.dim, unit_).find(Rows::of(sample.data(), n, rows.dim), nearest.data(), nullptr, fit.call);
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < rows.dim; ++j) sample[i * rows.dim + j] -= centroids[nearest[i] * rows.dim + j];
    return sample;
}

}  // namespace annkit
