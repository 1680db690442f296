// How an IVF index learns: centroids, a graph of them, and the codec.
#include <algorithm>
#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "annkit/core/random.h"
#include "annkit/index/ivf.h"
#include "annkit/index/list_rows.h"
#include "annkit/index/unit_rows.h"
#include "annkit/math/bit_means.h"
#include "annkit/math/kmeans.h"
#include "annkit/math/middle.h"
#include "annkit/math/sample.h"

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
    options.spherical = by_direction();
    std::vector<float> center = centers() ? center_of_far(rows) : std::vector<float>();
    const InnerRows inner(rows, by_direction(), "the array", center);
    KMeansResult trained = kmeans(inner.rows(), options, {fit.seed, {fit.call.threads, first.monitor()}});
    // What is learned takes the place of what was only when all of it is there.
    std::unique_ptr<Codec> codec = codec_->clone();
    const Fit last{fit.seed + 1, {fit.call.threads, rest.monitor()}};
    fit_codec(*codec, inner.rows(), trained.centroids, last);
    auto graph = graph_of(Rows::of(trained.centroids.data(), n_lists_, rows.dim), {fit.call.threads, end.monitor()});
    if (fit.call.monitor) fit.call.monitor->progress(1, 1);  // before anything changes: a callback may still raise
    set_up(rows.dim, std::move(codec), std::move(trained.centroids), std::move(graph), std::move(center));
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

// From rows, or from what is left of them beyond their centroid.
void Ivf::fit_codec(Codec& codec, const Rows& rows, const std::vector<float>& centroids, const Fit& fit) const {
    constexpr size_t kBlock = 256;
    const size_t n = codec.learns() ? std::min(rows.n, std::max(kCodecRows, codec.rows_wanted())) : 0, dim = rows.dim;
    if (n == 0 || (n == rows.n && !use_.residual)) return codec.fit(rows.slice(0, n), fit);
    std::vector<size_t> chosen(rows.n);
    std::iota(chosen.begin(), chosen.end(), size_t(0));
    Random random(fit.seed);
    for (size_t i = 0; i < n && n < rows.n; ++i) std::swap(chosen[i], chosen[i + random.below(rows.n - i)]);
    const Buffer copy = allocate(n * dim * sizeof(float));
    auto* sample = reinterpret_cast<float*>(copy.get());
    const Rows learned = Rows::of(sample, n, dim);
    const int threads = threads_for(fit.call, 4 * double(n) * double(dim));
    parallel_blocks(n, kBlock, threads, fit.call, [&](size_t first, size_t count) {
        gather_rows(rows, &chosen[first], count, sample + first * dim);
    });
    if (!use_.residual) return codec.fit(learned, fit);
    std::vector<uint32_t> nearest(n);
    Nearest(centroids, dim, by_direction()).find(learned, nearest.data(), nullptr, fit.call);
    parallel_blocks(n, kBlock, threads, fit.call, [&](size_t first, size_t count) {
        for (size_t i = first; i < first + count; ++i)
            for (size_t j = 0; j < dim; ++j) sample[i * dim + j] -= centroids[nearest[i] * dim + j];
    });
    codec.fit(learned, fit);
}

}  // namespace annkit
