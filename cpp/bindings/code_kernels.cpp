// Kernels over codes, of every level: see kernels.cpp.
#include <pybind11/stl.h>

#include <array>
#include <limits>
#include <optional>

#include "annkit/core/errors.h"
#include "annkit/core/memory.h"
#include "kernels.h"

namespace annkit::bindings {
namespace {

using namespace simd;

const TilePair& code_tiles(const Kernels& k, std::string_view kind) {
    if (kind == "tables") return k.byte_tables;
    return kind == "bytes" ? k.byte_codes : k.nibble_codes;
}
const Tile& chosen(const TilePair& tiles, std::string_view shape) {
    return shape == "wide" ? tiles.wide : (shape == "narrow" ? tiles.narrow : tiles.single);
}

using Sides = std::optional<Floats>;
const float* data(const Sides& x) { return x ? x->data() : nullptr; }

// A tile of codes and what it takes: lanes holds rows of bounds, scales, offsets and errors; sides are mul, add and
// err.
struct CodeTile {
    const Tile& tile;
    size_t lanes;
    Buffer panel;
    std::vector<float> settings[4];
    TileArgs args{};

    CodeTile(const Tile& chosen, const Bytes& queries, const Bytes& codes, size_t dim, size_t n, const Floats& of_lanes,
             const std::array<Sides, 3>& sides)
        : tile(chosen), lanes(size_t(queries.shape(0))), panel(allocate(chosen.panel_bytes(dim))) {
        check(lanes <= tile.lanes, "too many queries");
        for (size_t i = 0; i < 4; ++i) {
            settings[i].assign(of_lanes.data(py::ssize_t(i), 0), of_lanes.data(py::ssize_t(i), 0) + lanes);
            settings[i].resize(tile.lanes, i == 0 ? std::numeric_limits<float>::quiet_NaN() : 0);
        }
        tile.pack_queries(pointers(queries).data(), lanes, dim, panel.get());
        args.panel = panel.get();
        args.rows = codes.data();
        args.stride = size_t(codes.shape(1));
        args.dim = dim;
        args.n = n;
        args.mul = data(sides[0]);
        args.add = data(sides[1]);
        args.bounds = settings[0].data();
        args.scales = settings[1].data();
        args.offsets = settings[2].data();
        args.errors = settings[3].data();
        args.err = data(sides[2]);
    }
};

py::tuple code_tile(std::string_view level, std::string_view kind, std::string_view shape, const Bytes& queries,
                    const Bytes& codes, size_t dim, size_t n, const Floats& lanes, const std::array<Sides, 3>& sides,
                    size_t capacity, size_t repeats, bool far) {
    CodeTile of(chosen(code_tiles(table(level), kind), shape), queries, codes, dim, n, lanes, sides);
    std::vector<TileHit> hits(capacity), all;
    TileArgs& args = of.args;
    args.hits = hits.data();
    args.capacity = capacity;
    args.far = far;
    size_t calls = 0;
    {
        py::gil_scoped_release unlocked;
        for (size_t i = 0; i < repeats; ++i) {
            all.clear();
            for (args.first = 0; args.first < args.n; ++calls) {
                const TileResult done = of.tile.run(args);
                check(done.next > args.first, "no progress at row ", args.first);
                all.insert(all.end(), hits.begin(), hits.begin() + ptrdiff_t(done.hits));
                args.first = done.next;
            }
        }
    }
    std::vector<float> scores;
    std::vector<uint32_t> pairs;
    for (const TileHit& hit : all) {
        scores.push_back(hit.score);
        pairs.insert(pairs.end(), {hit.row, hit.lane});
    }
    return py::make_tuple(to_array(scores), to_array(pairs), calls);
}

// All scores of a single tile, lane by lane.
py::array code_scores(std::string_view level, std::string_view kind, const Bytes& queries, const Bytes& codes,
                      size_t dim, size_t n, const Floats& lanes, const std::array<Sides, 3>& sides) {
    CodeTile of(chosen(code_tiles(table(level), kind), "single"), queries, codes, dim, n, lanes, sides);
    std::vector<TileHit> hits(kMinHits);
    std::vector<float> scores(of.tile.lanes * n, std::numeric_limits<float>::quiet_NaN());
    of.args.hits = hits.data();
    of.args.capacity = hits.size();
    of.args.scores = scores.data();
    const TileResult done = of.tile.run(of.args);
    check(done.next == n && done.hits == 0, "the tile did not take all rows");
    scores.resize(of.lanes * n);
    return to_array(scores);
}

// Of nibbles without sides: the dots of all rows, and which rows may be within the bounds, lane by lane; none where
// the tile does not find them.
py::object code_rows(std::string_view level, std::string_view shape, const Bytes& queries, const Bytes& codes,
                     size_t dim, size_t n, const Floats& lanes) {
    CodeTile of(chosen(table(level).nibble_codes, shape), queries, codes, dim, n, lanes, {});
    if (!of.tile.all_rows) return py::none();
    const size_t words = TileArgs::words(n);
    std::vector<uint16_t> sums(of.tile.lanes * words * TileArgs::kWord);
    std::vector<uint64_t> near(of.tile.lanes * words, ~uint64_t(0));
    of.args.capacity = kMinHits;
    of.args.sums = sums.data();
    check(of.tile.run(of.args).next == n, "the tile did not take all rows");
    of.args.sums = nullptr;
    of.args.near = near.data();
    check(of.tile.run(of.args).next == n, "the tile did not take all rows");
    sums.resize(of.lanes * words * TileArgs::kWord);
    near.resize(of.lanes * words);
    return py::make_tuple(to_array(sums), to_array(near));
}

// Scores of scattered rows of codes; of nibbles, the query has numbers for low halves, then for high ones. Rows have as
// many bytes as the query says, and behind them a float32 if `adds`.
py::array_t<float> scattered_scores(std::string_view level, bool nibbles, std::vector<int8_t> query, const Bytes& rows,
                                    float base, float mul, bool adds) {
    const auto n = size_t(rows.shape(0)), bytes = size_t(rows.shape(1)) - (adds ? sizeof(float) : 0);
    const size_t whole = (bytes + 63) / 64 * 64;
    std::vector<int8_t> ready(2 * whole);
    std::copy_n(query.begin(), bytes, ready.begin());
    if (nibbles) std::copy_n(query.begin() + ptrdiff_t(bytes), bytes, ready.begin() + ptrdiff_t(whole));
    std::vector<const void*> pointers;
    for (size_t i = 0; i < n; ++i) pointers.push_back(rows.data(py::ssize_t(i), 0));
    py::array_t<float> out(rows.shape(0));
    const Kernels& kernels = table(level);
    const CodeQuery of{ready.data(), bytes, base, mul, adds ? bytes : 0};
    (nibbles ? kernels.nibble_scores : kernels.byte_scores)(of, pointers.data(), n, out.mutable_data());
    return out;
}

// Scores of rows that follow each other; the query has as many bytes as their codes.
py::array_t<float> byte_run(std::string_view level, const std::vector<int8_t>& query, const Bytes& rows, float base,
                            float mul, const Floats& add, size_t repeats) {
    py::array_t<float> out(rows.shape(0));
    std::vector<int8_t> ready((query.size() + 63) / 64 * 64);
    std::copy(query.begin(), query.end(), ready.begin());
    const CodeRows of{rows.data(), size_t(rows.shape(1)), size_t(rows.shape(0)), add.data()};
    for (size_t i = 0; i < repeats; ++i)
        table(level).byte_run({ready.data(), query.size(), base, mul}, of, out.mutable_data());
    return out;
}

// A query's weights, their sums; and as they are rounded.
py::tuple round_weights(std::string_view level, const Floats& query, const Floats& center, const Floats& low,
                        const Floats& step, const Floats& mean) {
    const auto dim = size_t(query.size());
    const Kernels& kernels = table(level);
    std::vector<float> weights(dim);
    std::vector<int8_t> codes(dim);
    WeightSums sums{};
    kernels.weigh(query.data(), {center.data(), low.data(), step.data(), dim}, weights.data(), sums);
    RoundedWeights rounded{codes.data(), kernels.byte_query_levels};
    kernels.round_weights(weights.data(), mean.data(), dim, rounded);
    return py::make_tuple(to_array(weights), py::make_tuple(sums.low, sums.norm2), to_array(codes),
                          py::make_tuple(rounded.scale, rounded.error2, rounded.rest_of_mean));
}

// Rows count from the first block on.
py::array sum_nibbles(std::string_view level, const Floats& tables, const Bytes& blocks, std::vector<uint32_t> rows,
                      size_t repeats) {
    std::vector<const void*> at;
    std::vector<uint8_t> within;
    for (const uint32_t row : rows) {
        at.push_back(blocks.data(py::ssize_t(row / kBlockRows), 0));
        within.push_back(uint8_t(row % kBlockRows));
    }
    std::vector<float> out(rows.size());
    for (size_t i = 0; i < repeats; ++i)
        table(level).sum_nibbles(tables.data(), size_t(tables.shape(0)), at.data(), within.data(), rows.size(),
                                 out.data());
    return to_array(out);
}

py::tuple choose16(std::string_view level, std::vector<uint16_t> numbers, uint16_t least, uint16_t most, size_t k) {
    std::vector<uint32_t> found(numbers.size());
    found.resize(table(level).select16(numbers.data(), numbers.size(), least, most, found.data()));
    return py::make_tuple(to_array(found), table(level).bound16(numbers.data(), numbers.size(), k));
}

}  // namespace

void bind_code_kernels(py::module_& k) {
    k.def("code_tile", code_tile, py::arg("level"), py::arg("kind"), py::arg("shape"), py::arg("queries"),
          py::arg("codes"), py::arg("dim"), py::arg("n"), py::arg("lanes"), py::arg("sides"), py::arg("capacity"),
          py::arg("repeats"), py::arg("far") = false);
    k.def("code_scores", code_scores);
    k.def("scattered_scores", scattered_scores);
    k.def("byte_run", byte_run, py::arg("level"), py::arg("query"), py::arg("rows"), py::arg("base"), py::arg("mul"),
          py::arg("add"), py::arg("repeats") = 1);
    k.def("round_weights", round_weights);
    k.def("code_rows", code_rows);
    k.def("sum_nibbles", sum_nibbles, py::arg("level"), py::arg("tables"), py::arg("blocks"), py::arg("rows"),
          py::arg("repeats") = 1);
    k.def("choose16", choose16);
    k.def("code_lanes", [](std::string_view level, std::string_view kind, std::string_view shape) {
        return chosen(code_tiles(table(level), kind), shape).lanes;
    });
}

}  // namespace annkit::bindings
