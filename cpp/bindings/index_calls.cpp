#include "index_calls.h"

#include <pybind11/stl/filesystem.h>

#include "annkit/core/check_rows.h"
#include "annkit/core/errors.h"
#include "annkit/core/registry.h"
#include "annkit/core/spelling.h"
#include "annkit/core/writer.h"
#include "annkit/index/hnsw.h"
#include "direct_call.h"
#include "index_call_documents.h"
#include "results.h"

namespace annkit::bindings {

Input input_for(const Index& index, py::handle given, std::string_view what) {
    Input input = rows_from(given, what);
    if (index.query_type(input.rows.dtype) == Dtype::bits) input.rows = as_bits(input.rows);
    return input;
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
    known.insert(known.end(), {"filter", "threads"});
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

}  // namespace

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

void bind_index_calls(py::module_& m, py::class_<Index>& base) {
    using py::arg;
    const auto none = py::none();
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

    m.def("load", load, arg("file"), py::kw_only(), arg("mmap") = false, documents::kLoad);
}

}  // namespace annkit::bindings
