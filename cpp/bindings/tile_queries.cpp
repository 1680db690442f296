// What codecs give searches, for tests: bounds and canonical scores of every pair. Private, as in kernels.cpp.

#include "annkit/codec/tile_queries.h"

#include <cmath>

#include "annkit/codec/codec.h"
#include "annkit/core/memory.h"
#include "annkit/math/transpose.h"
#include "arrays.h"
#include "module.h"

namespace annkit::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
constexpr size_t kTileRows = 4096;  // in one call
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Rows view(const Floats& x) { return Rows::of(x.data(), size_t(x.shape(0)), size_t(x.shape(1))); }

// A tile's values of one query and all rows.
std::vector<float> tile_values(const TileQueries& queries, const Partition& partition, size_t query,
                               const LaneTerms& terms) {
    const simd::Tile& tile = queries.tiles().wide;
    const Buffer panel = allocate(tile.panel_bytes(queries.tile_dim()));
    const void* row = queries.panel_row(query);
    tile.pack_queries(&row, 1, queries.tile_dim(), panel.get());
    std::vector<float> bounds(tile.lanes, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> scales(tile.lanes), offsets(tile.lanes), errors(tile.lanes), out(partition.codes->n);
    bounds[0] = kInfinity, scales[0] = terms.scale, offsets[0] = terms.offset, errors[0] = terms.error;
    const std::span<const uint32_t> heavy = queries.heavy();
    std::vector<float> heavy_weights(heavy.size() * tile.lanes);
    for (size_t i = 0; i < heavy.size(); ++i) heavy_weights[i * tile.lanes] = queries.heavy_weights(query)[i];
    std::vector<simd::TileHit> hits(simd::kMinHits);
    TileScratch scratch;
    const size_t n = partition.codes->n;
    for (size_t first = 0; first < n;) {
        const size_t count = std::min<size_t>({n - first, partition.codes->run(first), kTileRows});
        const TileRows rows = queries.rows(partition, first, count, scratch);
        simd::TileArgs args{panel.get(), rows.data,     rows.stride,    queries.tile_dim(), count,
                            0,           rows.mul,      rows.add,       bounds.data(),      hits.data(),
                            hits.size(), scales.data(), offsets.data(), errors.data(),      rows.err};
        args.heavy = heavy.size(), args.heavy_at = heavy.data(), args.heavy_weights = heavy_weights.data();
        while (args.first < count) {
            const simd::TileResult done = tile.run(args);
            for (size_t i = 0; i < done.hits; ++i) out[first + hits[i].row] = hits[i].score;
            args.first = done.next;
        }
        first += count;
    }
    return out;
}

// Bounds of a run where there are some, a few rows at a time.
void bound_runs(const TileQueries& queries, size_t query, const Visit& visit, float* lower, float* upper) {
    constexpr size_t kRows = 100;
    const Codes& codes = *visit.partition->codes;
    TileScratch scratch;
    std::vector<float> bounds(kRows);
    for (size_t first = 0; first < codes.n && queries.bounds_runs();) {
        const size_t n = std::min({kRows, codes.n - first, codes.run(first)});
        const RowRange range{uint32_t(first), uint32_t(first + n)};
        const float width = queries.bound_run(query, visit, range, scratch, bounds.data());
        for (size_t i = 0; i < n; ++i) lower[first + i] = bounds[i], upper[first + i] = bounds[i] + width;
        first += n;
    }
}

// Canonical scores, and what the tile, or a run, says they lie between: infinities where there is none.
py::tuple tile_scores(const Codec& codec, std::string_view metric, const Floats& x, py::object center,
                      const Floats& queries, bool runs) {
    const Rows rows = view(x), asked = view(queries);
    const bool residual = !center.is_none();
    const CodeUse use{metric_from(metric), residual};
    const Floats given = residual ? Floats(center) : Floats(0);
    const float* centroid = residual ? given.data() : nullptr;
    Codes codes = codec.make_codes(rows.dim, use);
    codes.reserve(rows.n);
    codec.encode(rows, centroid, codes, 0);
    codes.n = rows.n;
    Partition partition;
    partition.codes = &codes;
    partition.residual = residual;
    double norm2 = 0;
    for (size_t j = 0; residual && j < rows.dim; ++j) norm2 += double(centroid[j]) * centroid[j];
    partition.centroid_norm = float(std::sqrt(norm2)) * 1.000001f;
    const auto prepared = codec.tile_queries(use, asked, {1});
    std::vector<uint32_t> positions(rows.n);
    for (size_t i = 0; i < rows.n; ++i) positions[i] = uint32_t(i);
    auto scores = new_array<float>(asked.n, rows.n), lower = new_array<float>(asked.n, rows.n),
         upper = new_array<float>(asked.n, rows.n);
    for (size_t q = 0; q < asked.n; ++q) {
        float coarse = 0;
        const void* row = centroid;
        const simd::Kernels& k = simd::kernels();
        if (residual) (use.metric == Metric::ip ? k.ip : k.l2)[simd::kF32](asked.row(q), &row, rows.dim, 1, &coarse);
        prepared->score(q, partition, coarse, positions.data(), rows.n, scores.mutable_data(py::ssize_t(q), 0));
        float *low = lower.mutable_data(py::ssize_t(q), 0), *high = upper.mutable_data(py::ssize_t(q), 0);
        std::fill_n(low, rows.n, -kInfinity);
        std::fill_n(high, rows.n, kInfinity);
        if (runs) bound_runs(*prepared, q, {&partition, coarse}, low, high);
        if (runs || prepared->tiles().wide.run == nullptr) continue;
        const LaneTerms terms = prepared->terms(q, partition, coarse);
        check(terms.rounding == 0, "margins of rows are not looked at here");
        const std::vector<float> values = tile_values(*prepared, partition, q, terms);
        TileScratch scratch;
        for (size_t i = 0; i < rows.n; ++i) {
            const size_t first = i / codes.block * codes.block;
            const TileRows tile = prepared->rows(partition, first, i - first + 1, scratch);
            const float error = tile.err != nullptr ? 2 * terms.error * tile.err[i - first] : 0.0f;
            low[i] = terms.base + values[i];
            high[i] = terms.base + values[i] - error + terms.width;
        }
    }
    return py::make_tuple(scores, lower, upper);
}

// Points as they are, one a row; padded to whole panels here.
py::array_t<uint32_t> nearest_in_group(std::string_view level, const Floats& points, const Floats& centroids,
                                       const Floats& norms) {
    const simd::Kernels* k = nullptr;
    for (simd::Level l : {simd::Level::scalar, simd::Level::neon, simd::Level::avx2, simd::Level::avx512})
        if (simd::name(l) == level) k = simd::kernels_at(l);
    check(k != nullptr, "this machine has no level ", level);
    const Rows x = view(points);
    const size_t panels = (x.n + simd::kGroupPoints - 1) / simd::kGroupPoints;
    std::vector<float> packed(panels * simd::kGroupPoints * x.dim);
    for (size_t i = 0; i < x.n; ++i)
        for (size_t j = 0; j < x.dim; ++j)
            packed[(i / simd::kGroupPoints * x.dim + j) * simd::kGroupPoints + i % simd::kGroupPoints] =
                points.at(py::ssize_t(i), py::ssize_t(j));
    std::vector<uint32_t> nearest(panels * simd::kGroupPoints);
    const auto count = size_t(centroids.shape(0));
    std::vector<float> columns(count * x.dim);
    transpose(centroids.data(), x.dim, count, x.dim, columns.data(), count);
    k->nearest_in_group(packed.data(), panels, x.dim, columns.data(), norms.data(), count, nearest.data());
    nearest.resize(x.n);
    return to_array(nearest);
}

}  // namespace

void bind_tile_queries(py::module_& m) {
    py::module_ k = m.attr("_kernels").cast<py::module_>();
    k.def("tile_scores", tile_scores, py::arg("codec"), py::arg("metric"), py::arg("x"), py::arg("center"),
          py::arg("queries"), py::arg("runs") = false);
    k.def("nearest_in_group", nearest_in_group);
}

}  // namespace annkit::bindings
