// The only place where arrays cross between Python and C++: what comes in is checked and viewed, what goes out is
// allocated here, and long calls leave the interpreter's lock through run().
#pragma once

#include <pybind11/gil_simple.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <optional>
#include <string_view>
#include <vector>

#include "annkit/core/errors.h"
#include "annkit/core/parallel.h"
#include "annkit/core/rows.h"
#include "annkit/index/members.h"
#include "instances.h"

namespace annkit::bindings {

namespace py = pybind11;

// A view of an array and the reference that keeps it alive.
struct Input {
    py::array array;
    Rows rows;
};
// 2-D, or 1-D for a single row; float32, float64, float16, bfloat16, uint8 or int8; any strides.
// expected: the dtypes, for messages.
Input rows_from(py::handle given, std::string_view what,
                std::string_view expected = "float32, float64, float16, bfloat16, uint8 or int8");
// The same for packed bits: uint8, where dim counts bits.
Input bits_from(py::handle given, std::string_view what);
Rows as_bits(Rows rows);

py::array_t<int64_t> ids_from(py::handle given, std::string_view what);  // 1-D integers, contiguous
// A class for each row: empty for None, a ValueError unless one a row.
py::array_t<int64_t> labels_from(py::handle given, size_t rows);
size_t count_from(py::handle given, std::string_view what);  // 1 to 2^31 - 1
int threads_from(py::handle given);                          // None: 0
uint64_t seed_from(py::handle given, uint64_t most = UINT64_MAX);

// Filters as the caller gave them: none, one, or a list of one a query.
class Filters {
  public:
    Filters(py::handle given, size_t queries);
    const std::vector<Filter>& all() const { return filters_; }

  private:
    void add(py::handle one);
    std::vector<py::array> kept_;
    std::vector<Filter> filters_;
};

// NumPy's own call, which takes a third of the time of pybind11's constructor.
PyObject* new_matrix(int type, size_t rows, size_t columns);
template <class T>
py::array_t<T> new_array(size_t rows, size_t columns) {
    if (columns > 0 && rows > size_t(PY_SSIZE_T_MAX) / sizeof(T) / columns) throw std::bad_alloc();
    return py::reinterpret_steal<py::array_t<T>>(
        new_matrix(py::detail::npy_format_descriptor<T>::value, rows, columns));
}
template <class T>
py::array_t<T> to_array(const std::vector<T>& values) {
    return py::array_t<T>(py::ssize_t(values.size()), values.data());
}

// Answers Ctrl-C and reports progress while a call runs without the interpreter's lock.
class PythonMonitor final : public Monitor {
  public:
    // progress: None, True (a bar by tqdm) or a callable that gets (done, total); total: what it counts.
    explicit PythonMonitor(py::handle progress = py::none(), size_t total = 0);
    ~PythonMonitor() override;
    void poll() override;
    void progress(size_t done, size_t total) override;
    void warn(std::string_view message) override;  // a UserWarning

  private:
    void report(size_t done);
    PyObject* callback_ = nullptr;
    size_t total_, reported_ = 0;
    std::optional<bool> main_thread_;
};

template <class F>
auto run(F&& body) {
    try {
        py::gil_scoped_release_simple unlocked;
        return body();
    } catch (const Interrupted&) {
        throw py::error_already_set();  // the monitor left the Python error set
    }
}

}  // namespace annkit::bindings
