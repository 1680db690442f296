// Codes and their scores without an index, for the tests and bench/bars.py. Private: a search is done by indexes.
#include <pybind11/stl.h>

#include <cmath>

#include "annkit/codec/codec.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "arrays.h"
#include "module.h"

namespace annkit::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;

CodeUse use_of(std::string_view metric, const std::optional<Floats>& centroid) {
    return {metric_from(metric), centroid.has_value()};
}
const float* data_of(const std::optional<Floats>& centroid) { return centroid ? centroid->data() : nullptr; }

float norm_of(const Floats& centroid) {
    double norm2 = 0;
    for (py::ssize_t j = 0; j < centroid.size(); ++j) norm2 += double(centroid.data()[j]) * centroid.data()[j];
    return float(std::sqrt(norm2)) * 1.000001f;
}

Codes encoded(const Codec& codec, const Rows& rows, const CodeUse& use, const float* centroid, size_t batch) {
    Codes codes = codec.make_codes(rows.dim, use);
    codes.reserve(rows.n);
    for (size_t i = 0; i < rows.n; i += batch)
        codec.encode(rows.slice(i, std::min(batch, rows.n - i)), centroid, codes, i);
    codes.n = rows.n;
    return codes;
}

// What nibble_codes would find, by plain sums over a query's table.
uint32_t table_sum(const uint8_t* table, const std::vector<std::byte>& code) {
    uint32_t sum = 0;
    for (size_t i = 0; i < code.size(); ++i, table += 32)
        sum += table[uint8_t(code[i]) & 15] + table[16 + (uint8_t(code[i]) >> 4)];
    return sum;
}

float coarse_of(Metric metric, const float* q, const float* c, size_t dim) {
    double sum = 0;
    for (size_t j = 0; j < dim; ++j)
        sum += is_l2(metric) ? (double(q[j]) - c[j]) * (double(q[j]) - c[j]) : -double(q[j]) * c[j];
    return float(sum);
}

// Canonical scores of all pairs, and the bounds that a tile gives: three arrays of (queries, rows).
py::tuple scores(const Codec& codec, py::handle x, const Floats& q, std::string_view metric,
                 const std::optional<Floats>& centroid, size_t batch, bool bounds) {
    const Input rows = rows_from(x, "x");
    const CodeUse use = use_of(metric, centroid);
    const auto nq = size_t(q.shape(0)), dim = size_t(q.shape(1)), n = rows.rows.n;
    std::vector<py::array_t<float>> out;
    for (int i = 0; i < 3; ++i) out.push_back(new_array<float>(i == 0 || bounds ? nq : 0, n));
    run([&] {
        const Codes codes = encoded(codec, rows.rows, use, data_of(centroid), batch);
        const auto prepared = codec.tile_queries(use, Rows::of(q.data(), nq, dim), {1});
        const Partition partition{&codes, centroid.has_value(), centroid ? norm_of(*centroid) : 0, nullptr};
        std::vector<uint32_t> positions(n);
        for (size_t i = 0; i < n; ++i) positions[i] = uint32_t(i);
        std::vector<std::byte> code(codes.code_bytes());
        TileScratch scratch;
        for (size_t j = 0; j < nq; ++j) {
            const float coarse = centroid ? coarse_of(use.metric, q.data() + j * dim, data_of(centroid), dim) : 0;
            prepared->score(j, partition, coarse, positions.data(), n, out[0].mutable_data() + j * n);
            if (!bounds) continue;
            const LaneTerms t = prepared->terms(j, partition, coarse);
            float *lower = out[1].mutable_data() + j * n, *upper = out[2].mutable_data() + j * n;
            for (size_t i = 0; i < n; ++i) {
                const TileRows tile = prepared->rows(partition, i / codes.block * codes.block, 1, scratch);
                const size_t k = i % codes.block;
                codes.get(i, code.data());
                const auto sum = float(table_sum(static_cast<const uint8_t*>(prepared->panel_row(j)), code));
                const float error = tile.err != nullptr ? t.error * tile.err[k] : 0;
                const float v = tile.mul[k] * (t.scale * sum + t.offset) + tile.add[k] + error;
                const float rounding = t.rounding * std::abs(tile.add[k]);
                lower[i] = t.base + v - rounding;
                upper[i] = t.base + v - 2 * error + t.width + rounding;
            }
        }
    });
    return py::make_tuple(out[0], out[1], out[2]);
}

py::array_t<float> decoded(const Codec& codec, py::handle x, std::string_view metric,
                           const std::optional<Floats>& centroid) {
    const Input rows = rows_from(x, "x");
    auto out = new_array<float>(rows.rows.n, rows.rows.dim);
    const Codes codes = encoded(codec, rows.rows, use_of(metric, centroid), data_of(centroid), rows.rows.n + 1);
    codec.decode_rows(codes, 0, codes.n, rows.rows.dim, out.mutable_data());
    return out;
}

// Every column's bytes, as a file has them.
std::vector<py::bytes> columns(const Codec& codec, py::handle x, std::string_view metric,
                               const std::optional<Floats>& centroid, size_t batch) {
    const Input rows = rows_from(x, "x");
    const Codes codes = encoded(codec, rows.rows, use_of(metric, centroid), data_of(centroid), batch);
    std::vector<py::bytes> out;
    for (size_t c = 0; c < codes.columns.size(); ++c) {
        std::string bytes;
        const size_t entries = c == 0 ? (codes.n + codes.block - 1) / codes.block : codes.n;
        for (const auto piece : codes.columns[c].pieces(entries))
            bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        out.emplace_back(bytes);
    }
    return out;
}

}  // namespace

void bind_codes(py::module_& m) {
    using py::arg;
    py::module_ k = m.def_submodule("_codes", "Codes and their scores without an index, for tests and benches.");
    k.def(
        "fit",
        [](Codec& codec, py::handle x, uint64_t seed, int threads) {
            const Input rows = rows_from(x, "x");
            run([&] { codec.fit(rows.rows, Fit{seed, Call{threads, nullptr}}); });
        },
        arg("codec"), arg("x"), arg("seed") = 0, arg("threads") = 1);
    k.def("scores", scores, arg("codec"), arg("x"), arg("q"), arg("metric") = "l2", arg("centroid") = py::none(),
          arg("batch") = 1024, arg("bounds") = true);
    k.def("decoded", decoded, arg("codec"), arg("x"), arg("metric") = "l2", arg("centroid") = py::none());
    k.def("columns", columns, arg("codec"), arg("x"), arg("metric") = "l2", arg("centroid") = py::none(),
          arg("batch") = 1024);
    k.def("to_bytes", [](const Codec& codec) {
        Writer out(codec.kind());
        codec.save(out);
        const std::vector<std::byte> bytes = out.to_bytes();
        return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    k.def("from_bytes", [](const std::string& bytes) {
        return Registry<Codec>::load_file(Reader::from_bytes(std::as_bytes(std::span(bytes))));
    });
}

}  // namespace annkit::bindings
