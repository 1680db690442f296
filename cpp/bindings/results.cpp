#include "results.h"

#include <pybind11/gil_safe_call_once.h>

namespace annkit::bindings {
namespace {

// A NamedTuple as tuple's own constructor makes it: calling the class takes four times as long.
template <class... Fields>
py::object named(const py::object& type, Fields... fields) {
    auto* tuple = reinterpret_cast<PyTypeObject*>(type.ptr());
    PyObject* made = tuple->tp_alloc(tuple, sizeof...(fields));
    if (made == nullptr) throw py::error_already_set();
    Py_ssize_t i = 0;
    (PyTuple_SET_ITEM(made, i++, fields.release().ptr()), ...);
    return py::reinterpret_steal<py::object>(made);
}

py::object result_type(const char* name) { return py::module_::import("annkit._results").attr(name); }

}  // namespace

SearchArrays::SearchArrays(Metric metric, size_t queries, size_t k) : answer{}, ids_(new_array<int64_t>(queries, k)) {
    answer.ids = ids_.mutable_data();
    if (metric == Metric::hamming) {
        auto counts = new_array<int32_t>(queries, k);
        answer.counts = counts.mutable_data();
        distances_ = std::move(counts);
    } else {
        auto distances = new_array<float>(queries, k);
        answer.distances = distances.mutable_data();
        distances_ = std::move(distances);
    }
}

py::object SearchArrays::result() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result([] { return result_type("SearchResult"); });
    return named(type.get_stored(), std::move(distances_), std::move(ids_));
}

py::object range_result(Metric metric, const RangeAnswer& answer) {
    py::object distances = to_array(answer.distances);
    if (metric == Metric::hamming) distances = distances.attr("astype")("int32");
    return named(result_type("RangeResult"), to_array(answer.lims), std::move(distances), to_array(answer.ids));
}

py::object pairs_result(const py::array& lims, const py::array& distances, const py::array& j) {
    return named(result_type("PairsResult"), lims, distances, j);
}

}  // namespace annkit::bindings
