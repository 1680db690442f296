// Indexes by hashing: LSH tables, and multi-index hashing of packed codes.
#include "annkit/core/errors.h"
#include "annkit/index/lsh_tables.h"
#include "annkit/index/multi_index_hash.h"
#include "arrays.h"
#include "hash_index_documents.h"
#include "index_calls.h"
#include "indexes.h"
#include "module.h"

namespace annkit::bindings {
namespace {

std::unique_ptr<LshTables> make_lsh_tables(std::string_view family, py::handle tables, py::handle bits,
                                           py::handle sketch, std::string_view directions, py::handle width,
                                           const py::object& codec, std::string_view metric_name) {
    LshOptions options;
    options.kind = lsh_kind_from(family);
    options.tables = count_from(tables, "tables");
    options.bits = count_from(bits, "bits");
    options.sketch = sketch.equal(py::int_(0)) ? 0 : count_from(sketch, "sketch");
    check(directions == "principal" || directions == "random", "directions is \"", directions,
          "\", expected \"principal\" or \"random\"");
    options.principal = directions == "principal";
    if (!width.is_none()) {
        options.width = width.cast<double>();
        check(options.width > 0, "width is ", options.width, ", expected a length above 0");
    }
    return std::make_unique<LshTables>(options, codec_from(codec), metric_from(metric_name));
}

py::array buckets(const LshTables& index, py::handle x, py::handle threads) {
    const Input input = input_for(index, x, "the array");
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    const auto slots = run([&] { return index.buckets(input.rows, call); });
    auto out = new_array<int64_t>(input.rows.n, index.options().tables);
    std::copy(slots.begin(), slots.end(), out.mutable_data());
    return out;
}

py::object tuned(const py::object& x, double recall, py::handle k, const py::object& metric, const py::object& codec,
                 const py::object& families, double within, py::handle seed, const py::object& threads) {
    return py::module_::import("annkit._lsh")
        .attr("tuned")(x, recall, k, metric, codec, families, within, seed, threads);
}

}  // namespace

void bind_hash_indexes(py::module_& m) {
    using py::arg;
    const auto none = py::none();
    py::class_<LshTables, Index>(m, "LSHTables", documents::kLshTables)
        .def(py::init(&make_lsh_tables), py::kw_only(), arg("family") = "hyperplane", arg("tables") = 1,
             arg("bits") = 12, arg("sketch") = 256, arg("directions") = "principal", arg("width") = none,
             arg("codec") = none, arg("metric") = "l2")
        .def("buckets", buckets, arg("x"), py::kw_only(), arg("threads") = none, documents::kLshBuckets)
        .def_static("tuned", tuned, arg("x"), arg("recall") = 0.9, py::kw_only(), arg("k") = 10, arg("metric") = "l2",
                    arg("codec") = none, arg("families") = none, arg("within") = 20.0, arg("seed") = 0,
                    arg("threads") = none, documents::kLshTuned)
        .def_property_readonly(
            "tables", [](const LshTables& self) { return self.options().tables; }, "int: how many tables there are.")
        .def_property_readonly(
            "bits", [](const LshTables& self) { return self.options().bits; }, "int: a table has 2^bits buckets.");

    py::class_<MultiIndexHash, Index>(m, "MultiIndexHash", documents::kMultiIndexHash)
        .def(py::init([](const py::object& codec, py::handle tables) {
                 const size_t count = tables.is_none() ? 0 : count_from(tables, "tables");
                 return codec.is_none() ? std::make_unique<MultiIndexHash>(Bits(), count)
                                        : std::make_unique<MultiIndexHash>(codec_from(codec), count);
             }),
             py::kw_only(), arg("codec") = none, arg("tables") = none)
        .def_property_readonly(
            "tables", [](const MultiIndexHash& self) { return run([&] { return self.tables(); }); },
            "int: how many tables there are; 0 before there are enough rows.");
}

}  // namespace annkit::bindings
