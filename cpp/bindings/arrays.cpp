#include "arrays.h"

#include "annkit/core/errors.h"

namespace annkit::bindings {
namespace {

// For messages only: it calls Python, so an argument of check(), which is made in any case, is no place for it.
std::string text(py::handle object) { return py::cast<std::string>(py::str(object)); }

constexpr int kHalf = 23;  // NPY_HALF, which pybind11 does not name

std::optional<Dtype> dtype_of(const py::array& array) {
    const py::dtype dtype = array.dtype();
    if (dtype.byteorder() == '>') return std::nullopt;
    switch (dtype.num()) {
        case py::detail::npy_api::NPY_FLOAT_:
            return Dtype::f32;
        case py::detail::npy_api::NPY_DOUBLE_:
            return Dtype::f64;
        case kHalf:
            return Dtype::f16;
        case py::detail::npy_api::NPY_UBYTE_:
            return Dtype::u8;
        case py::detail::npy_api::NPY_BYTE_:
            return Dtype::i8;
        default:
            break;
    }
    if (dtype.itemsize() == 2 && text(dtype) == "bfloat16") return Dtype::bf16;
    return std::nullopt;
}

py::array array_from(py::handle given, std::string_view what) {
    if (py::isinstance<py::array>(given)) return py::reinterpret_borrow<py::array>(given);
    py::array array = py::array::ensure(given);
    if (array) return array;
    PyErr_Clear();
    fail<TypeError>(what, " is a ", text(py::type::of(given).attr("__name__")), ", expected an array");
}

}  // namespace

Input rows_from(py::handle given, std::string_view what, std::string_view expected) {
    py::array array = array_from(given, what);
    if (array.dtype().byteorder() == '>' && array.dtype().kind() == 'f')
        array = array.attr("astype")(array.dtype().attr("newbyteorder")("="));
    const auto dtype = dtype_of(array);
    if (!dtype) {
        const char kind = array.dtype().kind();
        fail<TypeError>(what, " has dtype ", text(array.dtype()), ", expected ", expected,
                        kind == 'b'                                 ? "; numpy.packbits(x, axis=1) packs bits"
                        : kind == 'i' || kind == 'u' || kind == 'f' ? "; x.astype converts it"
                                                                    : "");
    }
    if (array.ndim() != 1 && array.ndim() != 2)
        fail(what, " has ", array.ndim(), " dimensions and shape ", text(array.attr("shape")),
             ", expected (n, dim), or (dim,) for a single row");
    const bool one = array.ndim() == 1;
    Rows rows{static_cast<const std::byte*>(array.data()),
              one ? 1 : size_t(array.shape(0)),
              size_t(array.shape(one ? 0 : 1)),
              *dtype,
              one ? 0 : array.strides(0),
              array.strides(one ? 0 : 1)};
    if (rows.dim == 0) fail(what, " has shape ", text(array.attr("shape")), ", expected at least one column");
    return {std::move(array), rows};
}

Rows as_bits(Rows rows) {
    rows.dtype = Dtype::bits;
    rows.dim *= 8;
    return rows;
}

Input bits_from(py::handle given, std::string_view what) {
    constexpr std::string_view kExpected = "uint8 with eight bits to a byte";
    Input input = rows_from(given, what, kExpected);
    check<TypeError>(input.rows.dtype == Dtype::u8, what, " has dtype ", name(input.rows.dtype), ", expected ",
                     kExpected);
    input.rows = as_bits(input.rows);
    return input;
}

py::array_t<int64_t> ids_from(py::handle given, std::string_view what) {
    py::array array = array_from(given, what);
    const char kind = array.dtype().kind();
    const bool empty = array.size() == 0;
    if (kind != 'i' && kind != 'u' && !empty)
        fail<TypeError>(what, " has dtype ", text(array.dtype()), ", expected int64");
    if (array.ndim() > 1) fail(what, " has shape ", text(array.attr("shape")), ", expected one dimension");
    if (kind == 'u' && array.itemsize() == 8 && !empty)
        check(text(array.attr("max")()).size() < 19 || text(array.attr("max")()) <= "9223372036854775807", what,
              " has values beyond int64");
    return py::array_t<int64_t, py::array::c_style | py::array::forcecast>(array).reshape({array.size()});
}

py::array_t<int64_t> labels_from(py::handle given, size_t rows) {
    if (given.is_none()) return py::array_t<int64_t>(0);
    py::array array = array_from(given, "labels");
    const char kind = array.dtype().kind();
    if (kind == 'U' || kind == 'S' || kind == 'O')
        fail<TypeError>("labels has dtype ", text(array.dtype()),
                        ", expected int64; numpy.unique(labels, return_inverse=True)[1] numbers classes");
    if (kind == 'b') array = array.attr("view")("u1");
    py::array_t<int64_t> labels = ids_from(array, "labels");
    check(size_t(labels.size()) == rows, "got ", labels.size(), " labels for ", rows, " rows, expected one a row");
    return labels;
}

size_t count_from(py::handle given, std::string_view what) {
    if (PyIndex_Check(given.ptr()) == 0)
        fail<TypeError>(what, " is a ", text(py::type::of(given).attr("__name__")), ", expected an integer");
    int overflow = 0;
    const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(given.ptr()));
    if (!index) throw py::error_already_set();
    const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    if (overflow != 0 || value < 1 || value > INT32_MAX) fail(what, " is ", text(index), ", expected 1 to ", INT32_MAX);
    return size_t(value);
}

uint64_t seed_from(py::handle given, uint64_t most) {
    if (PyIndex_Check(given.ptr()) == 0)
        fail<TypeError>("seed is a ", text(py::type::of(given).attr("__name__")), ", expected an integer");
    const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(given.ptr()));
    if (!index) throw py::error_already_set();
    const unsigned long long seed = PyLong_AsUnsignedLongLong(index.ptr());
    const bool beyond = PyErr_Occurred() != nullptr;
    if (beyond) PyErr_Clear();
    if (beyond || seed > most) fail("seed is ", text(index), ", expected 0 to ", most);
    return seed;
}

int threads_from(py::handle given) { return given.is_none() ? 0 : int(count_from(given, "threads")); }

PyObject* new_matrix(int type, size_t rows, size_t columns) {
    const auto& numpy = py::detail::npy_api::get();
    const Py_intptr_t shape[] = {Py_intptr_t(rows), Py_intptr_t(columns)};
    PyObject* made = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, numpy.PyArray_DescrFromType_(type), 2, shape,
                                                 nullptr, nullptr, 0, nullptr);
    if (made == nullptr) throw py::error_already_set();
    return made;
}

Filters::Filters(py::handle given, size_t queries) {
    if (given.is_none()) return;
    const bool listed = py::isinstance<py::list>(given) || py::isinstance<py::tuple>(given);
    // A list of numbers or truth values is one filter, also where it is empty; any other has one a query.
    const auto is_one = [](const py::object& first) {
        return !py::isinstance<py::array>(first) &&
               (PyIndex_Check(first.ptr()) || py::isinstance(first, py::dtype("?").attr("type")));
    };
    if (!listed || py::len(given) == 0 || is_one(given[py::int_(0)])) {
        add(given);
        return;
    }
    check(size_t(py::len(given)) == queries, "filter is a list of ", py::len(given), " filters for ", queries,
          " queries, expected one a query");
    for (py::handle one : given) add(one);
}

void Filters::add(py::handle one) {
    py::array array = array_from(one, "filter");
    Filter filter;
    if (array.dtype().kind() == 'b') {
        if (array.ndim() != 1)
            fail("filter has shape ", text(array.attr("shape")), ", expected a mask of one dimension");
        auto mask = py::array_t<bool, py::array::c_style | py::array::forcecast>(array);
        filter = {true, {}, {reinterpret_cast<const uint8_t*>(mask.data()), size_t(mask.size())}};
        kept_.push_back(std::move(mask));
    } else {
        py::array_t<int64_t> ids = ids_from(array, "filter");
        filter = {false, {ids.data(), size_t(ids.size())}, {}};
        kept_.push_back(std::move(ids));
    }
    filters_.push_back(filter);
}

PythonMonitor::PythonMonitor(py::handle progress, size_t total) : total_(total) {
    if (progress.is_none() || progress.ptr() == Py_False) return;
    py::object callback = py::reinterpret_borrow<py::object>(progress);
    if (progress.ptr() == Py_True) callback = py::module_::import("annkit._progress").attr("bar")();
    if (PyCallable_Check(callback.ptr()) == 0)
        fail<TypeError>("progress is ", text(progress), ", expected True or a callable that takes (done, total)");
    callback_ = callback.release().ptr();
}

PythonMonitor::~PythonMonitor() { Py_XDECREF(callback_); }

void PythonMonitor::poll() {
    if (main_thread_ == false) return;  // Python runs signal handlers in its main thread only
    py::gil_scoped_acquire locked;
    if (!main_thread_) {
        const py::module_ threading = py::module_::import("threading");
        main_thread_ = threading.attr("current_thread")().is(threading.attr("main_thread")());
    }
    if (PyErr_CheckSignals() != 0) throw Interrupted();
}

void PythonMonitor::progress(size_t done, size_t total) {
    if (callback_ == nullptr || total == 0) return;
    const auto now = size_t(double(total_) * double(done) / double(total));
    if (now <= reported_) return;  // each pass over the rows counts from its own beginning
    reported_ = now;
    py::gil_scoped_acquire locked;
    report(now);
}

void PythonMonitor::warn(std::string_view message) {
    py::gil_scoped_acquire locked;
    if (PyErr_WarnEx(PyExc_UserWarning, std::string(message).c_str(), 1) != 0) throw Interrupted();
}

void PythonMonitor::report(size_t done) {
    PyObject* result = PyObject_CallFunction(callback_, "nn", Py_ssize_t(done), Py_ssize_t(total_));
    if (result == nullptr) throw Interrupted();
    Py_DECREF(result);
}

}  // namespace annkit::bindings
