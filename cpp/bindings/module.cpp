#include "module.h"

#include "annkit/core/errors.h"
#include "annkit/core/freed_memory.h"
#include "annkit/core/parallel.h"
#include "annkit/registry.h"
#include "arrays.h"

namespace annkit::bindings {
namespace {

void raise_os_error(const OsError& error) {
    const auto path = py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.path.c_str()));
    if (error.code == 0 || !path) return PyErr_SetString(PyExc_OSError, error.what());
    errno = error.code;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
}

}  // namespace

void bind_errors(py::module_& m) {
    static py::handle not_fitted, format;
    not_fitted = py::exception<NotFittedError>(m, "NotFittedError", PyExc_ValueError).release();
    format = py::exception<FormatError>(m, "FormatError", PyExc_ValueError).release();
    for (py::handle type : {not_fitted, format}) type.attr("__module__") = "annkit";
    not_fitted.attr("__doc__") = "A part was used before a fit that it needs.";
    format.attr("__doc__") = "The content of a file is not what it claims to be.";
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const NotFittedError& error) {
            PyErr_SetString(not_fitted.ptr(), error.what());
        } catch (const FormatError& error) {
            PyErr_SetString(format.ptr(), error.what());
        } catch (const TypeError& error) {
            PyErr_SetString(PyExc_TypeError, error.what());
        } catch (const KeyError& error) {
            PyErr_SetString(PyExc_KeyError, error.what());
        } catch (const OsError& error) {
            raise_os_error(error);
        }
    });
}

}  // namespace annkit::bindings

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
    namespace py = pybind11;
    using namespace annkit::bindings;
    m.doc() = "The compiled core of annkit.";
    m.attr("__version__") = ANNKIT_VERSION;
    annkit::register_parts();
    annkit::keep_freed_memory();
    py::options options;
    options.disable_function_signatures();
    bind_errors(m);
    bind_codecs(m);
    bind_clustering(m);
    bind_transforms(m);
    bind_codes(m);
    bind_indexes(m);
    bind_hash_indexes(m);
    bind_hamming(m);
    bind_simd(m);
    bind_kernels(m);
    bind_tile_queries(m);
    bind_math(m);
    bind_images(m);
    m.def(
        "set_threads", [](py::handle n) { annkit::set_threads(n.is_none() ? 0 : int(count_from(n, "threads"))); },
        py::arg("n") = py::none(),
        R"doc(Set how many threads calls use that do not say ``threads=``.

Parameters
----------
n : int, optional
    None restores the default: OMP_NUM_THREADS, or the processors this process may use.)doc");
    m.def("get_threads", [] { return annkit::default_threads(); }, R"doc(Return how many threads calls use by default.

Returns
-------
int)doc");
}
