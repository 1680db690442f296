#include <pybind11/stl/filesystem.h>

#include "annkit/codec/certified.h"
#include "annkit/core/check_rows.h"
#include "annkit/core/errors.h"
#include "annkit/core/registry.h"
#include "annkit/core/spelling.h"
#include "annkit/core/writer.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/ivf.h"
#include "annkit/index/pipeline.h"
#include "annkit/index/refine.h"
#include "arrays.h"
#include "direct_call.h"
#include "index_call_documents.h"
#include "index_documents.h"
#include "indexes.h"
#include "module.h"
#include "results.h"
#include "transforms.h"

namespace annkit::bindings {

Input input_for(const Index& index, py::handle given, std::string_view what) {
    Input input = rows_from(given, what);
    if (index.query_type(input.rows.dtype) == Dtype::bits) input.rows = as_bits(input.rows);
    return input;
}

const Codec& codec_from(const py::object& codec) {
    static const Raw plain("f32");
    if (codec.is_none()) return plain;
    if (!py::isinstance<Codec>(codec))
        fail<TypeError>("codec is ", py::cast<std::string>(py::repr(codec)),
                        ", expected a codec such as annkit.Raw(\"f32\") or annkit.SQ(8)");
    return codec.cast<const Codec&>();
}

namespace {

std::string repr(const Index& index) {
    return run([&] {
        const auto held = index.hold_for_reading();
        return index.repr();
    });
}

py::object add(py::object self, py::handle x, py::handle ids, bool replace, py::handle progress, py::handle threads) {
    auto& index = self.cast<Index&>();
    const Input input = input_for(index, x, "the array");
    std::optional<py::array_t<int64_t>> given;
    Ids view;
    if (!ids.is_none()) {
        given = ids_from(ids, "ids");
        view = std::span(given->data(), size_t(given->size()));
    }
    PythonMonitor monitor(progress, input.rows.n);
    const Call call{threads_from(threads), &monitor};
    run([&] { index.add(input.rows, view, replace, call); });
    return self;
}

double float_from(py::handle given) {
    const double number = PyFloat_AsDouble(given.ptr());
    if (PyErr_Occurred() != nullptr) throw py::error_already_set();
    return number;
}

constexpr std::pair<std::string_view, size_t Settings::*> kCounts[] = {{"nprobe", &Settings::nprobe},
                                                                       {"ef", &Settings::ef},
                                                                       {"probes", &Settings::probes},
                                                                       {"candidates", &Settings::candidates}};

[[noreturn]] void unexpected(const Index& index, std::string_view name) {
    std::vector<std::string_view> known;
    std::string listed;
    for (const std::string_view one : kSettings)
        if (index.takes(one)) known.push_back(one), listed += concat(listed.empty() ? "" : ", ", one);
    const std::string expected = known.empty() ? "expected none" : concat("expected one of ", listed);
    known.insert(known.end(), {"k", "filter", "threads"});
    fail<TypeError>("search of ", repr(index), " got an unexpected setting \"", name, "\", ", expected,
                    did_you_mean(name, known));
}

// What a search was told by keywords; a TypeError where the index knows no such setting.
Settings settings_from(const Index& index, const Arguments& given) {
    Settings settings;
    given.each_setting([&](PyObject* key, py::handle value) {
        Py_ssize_t size;
        const char* text = PyUnicode_AsUTF8AndSize(key, &size);
        if (text == nullptr) throw py::error_already_set();
        const std::string_view name(text, size_t(size));
        if (!index.takes(name)) unexpected(index, name);
        const auto count = std::find_if(std::begin(kCounts), std::end(kCounts),
                                        [&](const auto& known) { return known.first == name; });
        if (count != std::end(kCounts)) {
            settings.*count->second = count_from(value, name);
            return;
        }
        const double number = float_from(value);
        const int least = name == "gamma" ? 0 : 1;
        check(std::isfinite(number) && number >= least, name, " is ", number, ", expected a number from ", least,
              " on");
        (name == "spread" ? settings.spread : name == "gamma" ? settings.gamma : settings.k_factor) = number;
    });
    return settings;
}

constexpr char kSearchSignature[] = "search($self, queries, k=10, *, filter=None, threads=None, **settings)";

py::object search(const Index& index, const Arguments& given) {
    const Input input = input_for(index, given[0], "the query");
    const size_t k = given.has(1) ? count_from(given[1], "k") : 10;
    const Filters filters(given[2], input.rows.n);
    PythonMonitor monitor;
    const Request request{filters.all(), settings_from(index, given), {threads_from(given[3]), &monitor}};
    SearchArrays out(index.metric(), input.rows.n, k);
    run([&] { index.search(input.rows, k, request, out.answer); });
    return out.result();
}

constexpr char kRangeSignature[] = "range_search($self, queries, radius, *, filter=None, threads=None, **settings)";

py::object range_search(const Index& index, const Arguments& given) {
    const Input input = input_for(index, given[0], "the query");
    const auto radius = float(float_from(given[1]));
    check(!std::isnan(radius), "radius is nan, expected a number");
    const Filters filters(given[2], input.rows.n);
    PythonMonitor monitor;
    const Request request{filters.all(), settings_from(index, given), {threads_from(given[3]), &monitor}};
    return range_result(index.metric(), run([&] { return index.range_search(input.rows, radius, request); }));
}

py::object fit(py::object self, py::handle x, py::handle labels, py::handle seed, py::handle progress,
               py::handle threads) {
    auto& index = self.cast<Index&>();
    const Input input = input_for(index, x, "the array");
    const py::array_t<int64_t> classes = labels_from(labels, input.rows.n);
    PythonMonitor monitor(progress, input.rows.n);
    const Fit how{seed_from(seed), {threads_from(threads), &monitor}, {classes.data(), size_t(classes.size())}};
    run([&] {
        check_rows(input.rows, "the array", how.call);
        index.fit(input.rows, how);
    });
    return self;
}

py::dict memory(const Index& index) {
    py::dict out;
    for (const MemoryEntry& entry : run([&] { return index.memory(); })) {  // of one name where wrappers are nested
        const py::str name(entry.name);
        out[name] = entry.bytes + (out.contains(name) ? out[name].cast<size_t>() : 0);
    }
    return out;
}

py::tuple settings(const Index& index) {
    py::list names;
    for (const std::string_view name : annkit::kSettings)
        if (index.takes(name)) names.append(py::str(name));
    return py::tuple(names);
}

py::array reconstruct(const Index& index, py::handle ids) {
    const py::array_t<int64_t> wanted = ids_from(ids, "ids");
    const std::span view(wanted.data(), size_t(wanted.size()));
    const auto fill = [&](auto array) -> py::array {
        void* data = array.mutable_data();
        run([&] { index.reconstruct(view, data); });
        return array;
    };
    const size_t dim = run([&] { return index.dim(); });  // waits for a change, which may wait for the interpreter
    switch (index.decoded()) {
        case Dtype::u8:
            return fill(new_array<uint8_t>(view.size(), dim));
        case Dtype::i8:
            return fill(new_array<int8_t>(view.size(), dim));
        case Dtype::bits:
            return fill(new_array<uint8_t>(view.size(), dim / 8));
        default:
            return fill(new_array<float>(view.size(), dim));
    }
}

std::filesystem::path path_from(py::handle given) {
    try {
        return py::cast<std::filesystem::path>(given);
    } catch (const py::cast_error&) {
        PyErr_Clear();
        fail<TypeError>("file is a ", py::cast<std::string>(py::type::of(given).attr("__name__")),
                        ", expected a path or a binary file object");
    }
}

py::bytes to_bytes(const Index& index) {
    PythonMonitor monitor;
    const auto bytes = run([&] {
        const auto held = index.hold();
        Writer out(index.kind());
        index.save(out);
        return out.to_bytes(&monitor);
    });
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void save(const Index& index, py::object target) {
    if (py::hasattr(target, "write")) {
        target.attr("write")(to_bytes(index));
        return;
    }
    const auto path = path_from(target);
    PythonMonitor monitor;
    const bool durable = run([&] {
        const auto held = index.hold();
        Writer out(index.kind());
        index.save(out);
        return out.save(path, &monitor);
    });
    if (!durable && PyErr_WarnEx(PyExc_RuntimeWarning, "the file is saved, but its folder could not be synced", 1) != 0)
        throw py::error_already_set();
}

std::unique_ptr<Index> from_bytes(const py::buffer& given) {
    const py::buffer_info info = given.request();
    check<TypeError>(info.ndim == 1 && info.itemsize == 1, "expected a buffer of bytes");
    check<TypeError>(info.size <= 1 || info.strides[0] == 1, "the buffer has a stride of ",
                     info.size > 1 ? info.strides[0] : 1, ", expected bytes side by side");
    PythonMonitor monitor;
    return run([&] {
        const auto* data = static_cast<const std::byte*>(info.ptr);
        return Registry<Index>::load_file(Reader::from_bytes({data, size_t(info.size)}, nullptr, &monitor));
    });
}

std::unique_ptr<Index> load(py::object source, bool mmap) {
    if (py::hasattr(source, "read")) {
        check(!mmap, "mmap=True needs a path, got a file object");
        return from_bytes(source.attr("read")());
    }
    const auto path = path_from(source);
    PythonMonitor monitor;
    return run([&] { return Registry<Index>::open(path, mmap, &monitor); });
}

std::unique_ptr<Ivf> make_ivf(py::handle lists, const py::object& codec, py::object residual, const Hnsw* coarse,
                              std::string_view metric_name) {
    std::optional<bool> of_residuals;
    if (!residual.is_none()) of_residuals = residual.cast<bool>();
    return std::make_unique<Ivf>(count_from(lists, "lists"), codec_from(codec), metric_from(metric_name), of_residuals,
                                 coarse);
}

std::unique_ptr<Hnsw> make_hnsw(py::handle degree, py::handle ef_build, const py::object& codec,
                                const py::object& build_codec, std::string_view metric_name) {
    const Codec* build = build_codec.is_none() ? nullptr : &codec_from(build_codec);
    return std::make_unique<Hnsw>(count_from(degree, "degree"), count_from(ef_build, "ef_build"), codec_from(codec),
                                  build, metric_from(metric_name));
}

py::dict stats(const Index& index) {
    const Hnsw* graph = index.graph();
    if (graph == nullptr) fail(repr(index), " has no graph to describe");
    const GraphStats found = run([&] { return graph->stats(); });
    py::list layers;
    for (const GraphLayer::Stats& layer : found.layers) {
        py::dict one;
        one["nodes"] = layer.nodes;
        one["parts"] = layer.parts;
        one["degrees"] = to_array(std::vector<int64_t>(layer.degrees.begin(), layer.degrees.end()));
        layers.append(one);
    }
    py::dict out;
    out["layers"] = layers;
    out["removed"] = found.removed;
    return out;
}

// Transforms, and the index at the end.
std::unique_ptr<Pipeline> make_pipeline(const py::args& parts) {
    check<TypeError>(parts.size() >= 2, "Pipeline got ", parts.size(), " parts, expected transforms and then an index");
    std::vector<std::unique_ptr<Transform>> transforms;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (!py::isinstance<Transform>(parts[i]))
            fail<TypeError>("part ", i, " is ", py::cast<std::string>(py::repr(parts[i])), ", expected a transform");
        transforms.push_back(copy_of(parts[i].cast<const Transform&>()));
    }
    const py::object last = parts[parts.size() - 1];
    if (!py::isinstance<Index>(last))
        fail<TypeError>("the last part is ", py::cast<std::string>(py::repr(last)), ", expected an index");
    return std::make_unique<Pipeline>(std::move(transforms), last.cast<const Index&>().clone());
}

py::tuple transforms(const Pipeline& pipeline) {
    auto copies = run([&] { return pipeline.transforms(); });
    py::list out;
    for (auto& one : copies) out.append(py::cast(std::move(one)));
    return py::tuple(out);
}

std::unique_ptr<Flat> make_flat(const py::object& codec, std::string_view metric_name, py::object scan) {
    const Metric metric = metric_from(metric_name);
    const Codec& given = codec_from(codec);
    if (scan.is_none()) return std::make_unique<Flat>(given, metric);
    check(py::isinstance<py::str>(scan) && py::cast<std::string>(scan) == "sq8", "scan is ",
          py::cast<std::string>(py::repr(scan)), ", expected None or \"sq8\"");
    const auto* raw = dynamic_cast<const Raw*>(&given);
    check(raw != nullptr, "scan=\"sq8\" is for float codecs, got ", given.repr());
    return std::make_unique<Flat>(Certified(*raw, metric == Metric::cosine), metric);
}

}  // namespace

void bind_indexes(py::module_& m) {
    using py::arg;
    const auto none = py::none();
    py::class_<Index> base(m, "Index", "What every index can do. See the subclasses.");
    DirectCall<const Index, search>::define(base, kSearchSignature, documents::kSearch);
    DirectCall<const Index, range_search>::define(base, kRangeSignature, documents::kRangeSearch);
    base.def("fit", fit, arg("x"), py::kw_only(), arg("labels") = none, arg("seed") = 0, arg("progress") = none,
             arg("threads") = none, documents::kFit)
        .def("add", add, arg("x"), arg("ids") = none, py::kw_only(), arg("replace") = false, arg("progress") = none,
             arg("threads") = none, documents::kAdd)
        .def("memory", memory, documents::kMemory)
        .def(
            "reserve",
            [](py::object self, py::handle rows) {
                auto& index = self.cast<Index&>();
                const size_t count = count_from(rows, "rows");
                run([&] { index.reserve(count); });
                return self;
            },
            arg("rows"), documents::kReserve)
        .def(
            "remove",
            [](py::object self, py::handle ids) {
                auto& index = self.cast<Index&>();
                const py::array_t<int64_t> given = ids_from(ids, "ids");
                PythonMonitor monitor;
                run([&] { index.remove({given.data(), size_t(given.size())}, {0, &monitor}); });
                return self;
            },
            arg("ids"), documents::kRemove)
        .def(
            "compact",
            [](py::object self) {
                auto& index = self.cast<Index&>();
                PythonMonitor monitor;
                run([&] { index.compact({0, &monitor}); });
                return self;
            },
            documents::kCompact)
        .def("reconstruct", reconstruct, arg("ids"), documents::kReconstruct)
        .def("save", save, arg("file"), documents::kSave)
        .def("to_bytes", to_bytes, documents::kToBytes)
        .def_static("from_bytes", from_bytes, arg("data"), documents::kFromBytes)
        .def("__len__", &Index::size, py::call_guard<py::gil_scoped_release>())
        .def("__repr__", repr)
        .def("__reduce__",
             [](py::object self) {
                 return py::make_tuple(py::module_::import("annkit._pickle").attr("index_from_bytes"),
                                       py::make_tuple(self.attr("to_bytes")()));
             })
        .def("__copy__", [](const Index& self) { return run([&] { return self.clone(); }); })
        .def(
            "__deepcopy__", [](const Index& self, py::handle) { return run([&] { return self.clone(); }); },
            arg("memo"))
        .def_property_readonly(
            "dim", [](const Index& self) { return run([&] { return self.dim(); }); },
            "int: the dimension (of bits: how many bits), 0 before the first rows.")
        .def_property_readonly(
            "factory",
            [](const Index& self) {
                return run([&] {
                    const auto held = self.hold_for_reading();
                    return self.factory();
                });
            },
            documents::kFactory)
        .def_property_readonly(
            "codec", [](const Index& self) { return run([&] { return self.codec_copy(); }); }, documents::kIndexCodec)
        .def_property_readonly("settings", settings, documents::kSettings)
        .def_property_readonly(
            "metric", [](const Index& self) { return name(self.metric()); }, "str: the metric's name.")
        .def_property_readonly(
            "ids", [](const Index& self) { return to_array(run([&] { return self.ids(); })); },
            "ndarray of int64: the ids of all rows, in the order they are stored.")
        .def_property_readonly(
            "nbytes", [](const Index& self) { return run([&] { return self.nbytes(); }); },
            "int: the bytes that codes, norms and ids take; ``memory()`` says where they are.")
        .def_property_readonly(
            "is_fitted", [](const Index& self) { return run([&] { return self.is_fitted(); }); },
            "bool: whether rows can be added; True where there is nothing to learn.");

    py::class_<Flat, Index>(m, "Flat", documents::kFlat)
        .def(py::init(&make_flat), py::kw_only(), arg("codec") = none, arg("metric") = "l2", arg("scan") = none);

    py::class_<Hnsw, Index>(m, "HNSW", documents::kHnsw)
        .def(py::init(&make_hnsw), py::kw_only(), arg("degree") = Hnsw::kDefaultDegree,
             arg("ef_build") = Hnsw::kDefaultEfBuild, arg("codec") = none, arg("build_codec") = none,
             arg("metric") = "l2")
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("degree", &Hnsw::degree, "int: the most links of a node in the base layer.")
        .def_property_readonly("ef_build", &Hnsw::ef_build,
                               "int: how many near rows a new one chooses its links from.");

    py::class_<Ivf, Index>(m, "IVF", documents::kIvf)
        .def(py::init(&make_ivf), py::kw_only(), arg("lists"), arg("codec") = none, arg("residual") = none,
             arg("coarse") = none, arg("metric") = "l2")
        .def_property_readonly("lists", &Ivf::lists, "int: how many lists there are.");

    py::class_<Pipeline, Index>(m, "Pipeline", documents::kPipeline)
        .def(py::init(&make_pipeline))
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("transforms", transforms,
                               "tuple of Transform: copies of the transforms, with what they have learned.");

    py::class_<Refine, Index>(m, "Refine", documents::kRefine)
        .def(py::init([](const Index& base, const py::object& codec, double k_factor) {
                 return std::make_unique<Refine>(base, codec_from(codec), k_factor);
             }),
             arg("base"), py::kw_only(), arg("codec") = none, arg("k_factor") = Refine::kDefaultFactor)
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("k_factor", &Refine::k_factor, "float: candidates a hit, by default.");

    m.def("load", load, arg("file"), py::kw_only(), arg("mmap") = false, documents::kLoad);
}

}  // namespace annkit::bindings
