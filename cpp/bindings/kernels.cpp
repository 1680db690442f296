// Every kernel of every level, for the tests and for bench/kernels.py. Private: nothing here checks as the indexes do.
#include "annkit/simd/kernels.h"

#include <pybind11/stl.h>

#include <numeric>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "arrays.h"
#include "kernels.h"
#include "module.h"

namespace annkit::bindings {

using namespace simd;

const Kernels& table(std::string_view level) {
    for (Level l : {Level::scalar, Level::neon, Level::avx2, Level::avx512})
        if (name(l) == level && kernels_at(l) != nullptr) return *kernels_at(l);
    fail("this machine has no level ", level);
}

std::vector<const void*> pointers(const Bytes& rows) {
    std::vector<const void*> out;
    for (py::ssize_t i = 0; i < rows.shape(0); ++i) out.push_back(rows.data(i, 0));
    return out;
}

namespace {

py::array_t<float> score_rows(std::string_view level, std::string_view metric, int element, const Bytes& query,
                              const Bytes& rows, size_t dim, size_t repeats) {
    const Kernels& k = table(level);
    const ScoreRows score = metric == "hamming" ? k.hamming : (metric == "l2" ? k.l2 : k.ip)[element];
    const auto p = pointers(rows);
    py::array_t<float> out(py::ssize_t(p.size()));
    const void* q = query.data();
    float* data = out.mutable_data();
    py::gil_scoped_release unlocked;
    for (size_t r = 0; r < repeats; ++r) score(q, p.data(), dim, p.size(), data);
    return out;
}

py::array_t<float> scan_rows(std::string_view level, std::string_view metric, int element, const Bytes& query,
                             const Bytes& rows, size_t dim) {
    const Kernels& k = table(level);
    const ScanRows scan = metric == "hamming" ? k.hamming_scan : (metric == "l2" ? k.scan_l2 : k.scan_ip)[element];
    py::array_t<float> out(rows.shape(0));
    scan(query.data(), rows.data(), dim, size_t(rows.shape(0)), out.mutable_data());
    return out;
}

const TilePair& tiles(const Kernels& k, int element) { return element < 0 ? k.hamming_tiles : k.tiles[element]; }

// All hits of a tile, with the calls resumed as often as the capacity asks for: (score, row, lane) each.
py::tuple tile(std::string_view level, int element, bool wide, const Bytes& queries, const Bytes& rows, size_t dim,
               std::vector<float> mul, std::vector<float> add, std::vector<float> bounds, size_t repeats,
               bool in_place) {
    const Tile& t = wide ? tiles(table(level), element).wide : tiles(table(level), element).narrow;
    const auto q = pointers(queries), r = pointers(rows);
    check(q.size() <= t.lanes, "too many queries");
    bounds.resize(t.lanes, std::numeric_limits<float>::quiet_NaN());
    const Buffer panel = allocate(t.panel_bytes(dim)), packed = allocate(t.rows_bytes(dim, r.size()));
    t.pack_queries(q.data(), q.size(), dim, panel.get());
    t.pack_rows(r.data(), r.size(), dim, packed.get());
    std::vector<TileHit> hits(kMinHits), all;
    TileArgs args{panel.get(),
                  in_place ? rows.data() : static_cast<const void*>(packed.get()),
                  in_place ? size_t(rows.shape(1)) : t.stride(dim),
                  dim,
                  r.size(),
                  0,
                  mul.data(),
                  add.data(),
                  bounds.data(),
                  hits.data(),
                  hits.size()};
    {
        py::gil_scoped_release unlocked;
        for (size_t i = 0; i < repeats; ++i) {
            all.clear();
            for (args.first = 0; args.first < args.n;) {
                const TileResult done = t.run(args);
                all.insert(all.end(), hits.begin(), hits.begin() + ptrdiff_t(done.hits));
                args.first = done.next;
            }
        }
    }
    py::list out;
    for (const TileHit& hit : all) out.append(py::make_tuple(hit.score, hit.row, hit.lane));
    return py::make_tuple(out, t.lanes);
}

// The nearest row of each lane and its score, from two calls with the rows parted at split.
py::tuple nearest(std::string_view level, bool bytes, const Bytes& queries, const Bytes& rows, size_t dim,
                  std::vector<float> mul, std::vector<float> add, size_t split, size_t repeats) {
    const Kernels& k = table(level);
    if (bytes && k.nearest_i8 == nullptr) return py::make_tuple(py::none(), py::none(), k.nearest.lanes);
    const Tile& t = k.tiles[kI8].wide;
    const auto q = pointers(queries), r = pointers(rows);
    const size_t lanes = bytes ? t.lanes : k.nearest.lanes;
    check(q.size() <= lanes, "too many queries");
    const Buffer panel = allocate(std::max(t.panel_bytes(dim), dim * lanes * 4)),
                 packed = allocate(t.rows_bytes(dim, r.size()));
    if (bytes) {
        t.pack_queries(q.data(), q.size(), dim, panel.get());
        t.pack_rows(r.data(), r.size(), dim, packed.get());
    } else {
        k.nearest.pack(reinterpret_cast<const float*>(queries.data()), dim, q.size(), dim,
                       reinterpret_cast<float*>(panel.get()));
    }
    const auto* data = bytes ? packed.get() : reinterpret_cast<const std::byte*>(rows.data());
    const size_t stride = bytes ? t.stride(dim) : dim * 4;
    std::vector<float> best(lanes);
    std::vector<uint32_t> at(lanes);
    for (size_t i = 0; i < repeats; ++i) {
        best.assign(lanes, std::numeric_limits<float>::infinity());
        for (const auto& [first, last] : {std::pair<size_t, size_t>{0, split}, {split, r.size()}}) {
            const NearestArgs args{
                panel.get(),        data + first * stride, stride,      dim,      last - first, uint32_t(first),
                mul.data() + first, add.data() + first,    best.data(), at.data()};
            (bytes ? k.nearest_i8 : k.nearest.run)(args);
        }
    }
    best.resize(q.size()), at.resize(q.size());
    return py::make_tuple(to_array(best), to_array(at), lanes);
}

// The smallest scores of blocks of rows, a row a block, and the block that has the least of them all for each lane.
// Each row of heavy_rows and heavy_lanes is what all rows, or lanes, have of a heavy number.
py::tuple minima(std::string_view level, const Bytes& queries, const Bytes& rows, std::vector<float> mul,
                 std::vector<float> add, const Floats& heavy_rows, const Floats& heavy_lanes) {
    const Kernels& k = table(level);
    if (k.minima_i8 == nullptr) return py::make_tuple(py::none(), py::none());
    const Tile& t = k.tiles[kI8].wide;
    const auto q = pointers(queries), r = pointers(rows);
    const auto dim = size_t(queries.shape(1));
    check(q.size() == t.lanes && r.size() % kMinimaRows == 0, "expected all lanes, and whole blocks");
    const Buffer panel = allocate(t.panel_bytes(dim)), packed = allocate(t.rows_bytes(dim, r.size()));
    t.pack_queries(q.data(), q.size(), dim, panel.get());
    t.pack_rows(r.data(), r.size(), dim, packed.get());
    std::vector<float> best(t.lanes, std::numeric_limits<float>::infinity());
    std::vector<uint32_t> at(t.lanes);
    py::array_t<float> out = new_array<float>(r.size() / kMinimaRows, t.lanes);
    k.minima_i8({panel.get(), packed.get(), t.stride(dim), dim, r.size(), 0, mul.data(), add.data(), best.data(),
                 at.data(), size_t(heavy_rows.shape(0)), heavy_rows.data(), heavy_lanes.data()},
                out.mutable_data());
    return py::make_tuple(out, to_array(at));
}

py::array_t<float> hamming_scan(std::string_view level, const Bytes& query, const Bytes& codes) {
    py::array_t<float> out(codes.shape(0));
    table(level).hamming_scan(query.data(), codes.data(), size_t(codes.shape(1)), size_t(codes.shape(0)),
                              out.mutable_data());
    return out;
}

py::array_t<float> sq8_lower(std::string_view level, std::vector<int16_t> query, const Bytes& codes,
                             py::array_t<float, py::array::c_style> rows, std::vector<float> settings) {
    const auto dim = size_t(codes.shape(1)), n = size_t(codes.shape(0));
    query.resize((dim + 63) / 64 * 64);
    const Sq8Query q{query.data(), settings[0], settings[1], settings[2],
                     settings[3],  settings[4], settings[5], settings[6]};
    py::array_t<float> out(codes.shape(0));
    table(level).sq8_lower(q, codes.data(), reinterpret_cast<const Sq8Row*>(rows.data()), dim, n, out.mutable_data());
    return out;
}

py::array_t<uint32_t> select(std::string_view level, std::vector<float> scores, float bound) {
    std::vector<uint32_t> out(scores.size());
    out.resize(table(level).select(scores.data(), scores.size(), bound, out.data()));
    return to_array(out);
}

// Nodes 0, 1, ... in batches of so many: the scores and the nodes that are kept, and what each batch returned.
py::tuple push_near(std::string_view level, std::vector<float> scores, const std::vector<size_t>& sizes, size_t most,
                    size_t most_equal, float bound) {
    std::vector<simd::NearBlock> blocks(most / simd::kNearBlock + 1);
    simd::NearNodes near{blocks.data(), 0, most, most_equal};
    std::vector<uint32_t> nodes(scores.size());
    std::iota(nodes.begin(), nodes.end(), 0);
    std::vector<size_t> places;
    size_t first = 0;
    for (size_t size : sizes) {
        check(first + size <= scores.size(), "too few scores");
        places.push_back(table(level).push_near(near, &scores[first], &nodes[first], size, bound));
        first += size;
    }
    for (size_t i = 0; i < near.n; ++i) scores[i] = near.score(i), nodes[i] = near.node(i);
    scores.resize(near.n);
    nodes.resize(near.n);
    return py::make_tuple(to_array(scores), to_array(nodes), to_array(places));
}

py::array_t<uint32_t> near_words(std::string_view level, std::vector<uint32_t> words, std::vector<uint32_t> ends,
                                 uint32_t query, uint32_t most) {
    std::vector<WordRun> runs;
    size_t room = kMoreWords;
    for (size_t i = 0; i + 2 <= ends.size(); i += 2) {
        runs.push_back({ends[i], ends[i + 1]});
        room += ends[i + 1] - ends[i];
    }
    std::vector<uint32_t> out(room);
    out.resize(table(level).near_words(words.data(), runs.data(), runs.size(), query, most, out.data()));
    return to_array(out);
}

size_t count(std::string_view level, std::vector<float> scores, float bound) {
    return table(level).count(scores.data(), scores.size(), bound);
}

// rows times matrix (outputs x dim), packed here as the level wants it.
py::array_t<float> product(std::string_view level, py::array_t<float, py::array::c_style> rows,
                           py::array_t<float, py::array::c_style> matrix) {
    const Product& p = table(level).product;
    const auto n = size_t(rows.shape(0)), dim = size_t(rows.shape(1)), outputs = size_t(matrix.shape(0));
    std::vector<float> packed((outputs + p.lanes - 1) / p.lanes * p.lanes * dim);
    for (size_t j = 0; j < outputs; ++j)
        for (size_t k = 0; k < dim; ++k)
            packed[j / p.lanes * p.lanes * dim + k * p.lanes + j % p.lanes] = matrix.at(j, k);
    py::array_t<float> out({rows.shape(0), matrix.shape(0)});
    p.run({rows.data(), dim, n, dim, packed.data(), outputs, out.mutable_data(), outputs});
    return out;
}

double probe(std::string_view level, std::string_view what, size_t amount, const Bytes& data) {
    const Probes& p = table(level).probes;
    py::gil_scoped_release unlocked;
    if (what == "fma") return double(p.fma(amount));
    if (what == "shuffle") return double(p.shuffle(amount));
    for (size_t i = 0; i < amount; ++i) p.read(data.data(), size_t(data.size()) / 1024 * 1024);
    return double(amount) * double(size_t(data.size()) / 1024 * 1024);
}

py::tuple rank(std::string_view level, std::vector<float> numbers) {
    std::vector<uint32_t> ranks(numbers.size());
    const bool differ = table(level).rank(numbers.data(), numbers.size(), ranks.data());
    return py::make_tuple(to_array(ranks), differ);
}

}  // namespace

void bind_kernels(py::module_& m) {
    py::module_ k = m.def_submodule("_kernels", "Every kernel of every level, for tests and benches.");
    bind_code_kernels(k);
    k.def("score_rows", score_rows);
    k.def("scan_rows", scan_rows);
    k.def("tile", tile);
    k.def("rank", rank);
    k.def("byte_query_levels", [](std::string_view level) { return table(level).byte_query_levels; });
    k.def("nearest", nearest);
    k.def("minima", minima);
    k.def("hamming_scan", hamming_scan);
    k.def("sq8_lower", sq8_lower);
    k.def("select", select);
    k.def("count", count);
    k.def("near_words", near_words);
    k.def("push_near", push_near);
    k.def("widen", [](std::string_view level, int kind, std::vector<uint16_t> in) {
        std::vector<float> out(in.size());
        table(level).widen[kind](in.data(), in.size(), out.data());
        return to_array(out);
    });
    k.def("narrow", [](std::string_view level, int kind, std::vector<float> in) {
        std::vector<uint16_t> out(in.size());
        table(level).narrow[kind](in.data(), in.size(), out.data());
        return to_array(out);
    });
    k.def("split", [](std::string_view level, std::vector<float> in) {
        std::vector<uint16_t> out(2 * in.size());
        table(level).split(in.data(), in.size(), out.data());
        return to_array(out);
    });
    k.def("join", [](std::string_view level, std::vector<uint16_t> in) {
        std::vector<float> out(in.size() / 2);
        table(level).join(in.data(), out.size(), out.data());
        return to_array(out);
    });
    k.def("to_i8", [](std::string_view level, std::vector<float> x, std::vector<float> center, float scale) {
        std::vector<int8_t> codes(x.size());
        I8Row row;
        table(level).to_i8(x.data(), center.data(), x.size(), scale, codes.data(), row);
        return py::make_tuple(to_array(codes), row.scale, row.error2, row.norm2);
    });
    k.def("plane_dot",
          [](std::string_view level, std::vector<float> q, const Bytes& planes) {  // the highest plane first
              const auto count = size_t(planes.shape(0));
              return table(level).plane_dot(q.data(), planes.data(), count > 1 ? planes.data(1, 0) : nullptr, count,
                                            q.size());
          });
    k.def("squares", [](std::string_view level, const py::array_t<float, py::array::c_style>& rows, size_t dim) {
        std::vector<float> out(size_t(rows.shape(0)));  // of the first dim columns
        table(level).squares(rows.data(), size_t(rows.shape(1)), dim, out.size(), out.data());
        return to_array(out);
    });
    k.def("sum_differences", [](std::string_view level, const Floats& point, const Floats& rows) {
        const auto n = size_t(rows.shape(0)), dim = size_t(rows.shape(1));
        std::vector<const float*> pointers(n);
        for (size_t i = 0; i < n; ++i) pointers[i] = rows.data(py::ssize_t(i), 0);
        std::vector<double> sums(dim, 1.0);  // adds to what is there
        const double squares = table(level).sum_differences(point.data(), pointers.data(), dim, n, sums.data());
        return py::make_tuple(to_array(sums), squares);
    });
    k.def("center", [](std::string_view level, const Floats& rows, std::vector<float> mean, size_t dim) {
        const auto n = size_t(rows.shape(0)), stride = size_t(rows.shape(1));  // of the first dim columns
        auto out = new_array<float>(n, (dim + 15) / 16 * 16);
        const float sum = table(level).center(rows.data(), stride, n, mean.empty() ? nullptr : mean.data(), dim,
                                              out.mutable_data(), size_t(out.shape(1)));
        return py::make_tuple(out, sum);
    });
    k.def("planes_above", [](std::string_view level, const Floats& rows, std::vector<float> threshold) {
        const size_t n = size_t(rows.shape(0)), dim = threshold.size();  // of the first dim columns
        auto planes = new_array<uint8_t>(n, (dim + 7) / 8);
        const float sum = table(level).planes_above(rows.data(), size_t(rows.shape(1)), n, threshold.data(), dim,
                                                    planes.mutable_data());
        return py::make_tuple(planes, sum);
    });
    k.def("product", product);
    k.def("hadamard", [](std::string_view level, std::vector<float> x) {
        table(level).hadamard(x.data(), x.size());
        return to_array(x);
    });
    k.def("rotate_columns", [](std::string_view level, std::vector<double> columns, const std::vector<double>& pairs) {
        const auto* rotations = reinterpret_cast<const simd::Rotation*>(pairs.data());
        check(columns.size() >= (pairs.size() / 2 + 1) * simd::kRotationRows, "too few columns");
        table(level).rotate_columns(columns.data(), rotations, pairs.size() / 2);
        return to_array(columns);
    });
    // a: columns with their padding, of which y has none.
    k.def("reflect_columns", [](std::string_view level, std::vector<double> a, std::vector<double> v,
                                std::vector<double> w, std::vector<double> x, size_t first, size_t last) {
        const size_t stride = v.size(), n = stride - simd::kReflectionPadding;
        check(stride > simd::kReflectionPadding && w.size() == stride && x.size() == stride && a.size() == n * stride &&
                  first <= last && last <= n,
              "got ", a.size(), " numbers for columns of ", stride);
        std::vector<double> y(stride);
        table(level).reflect_columns({a.data(), stride, n, first, last, v.data(), w.data(), x.data(), y.data()});
        return py::make_tuple(to_array(a), to_array(y));
    });
    k.def("probe", probe);
}

}  // namespace annkit::bindings
