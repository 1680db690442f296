#pragma once

#include <pybind11/pybind11.h>

namespace annkit::bindings {
namespace py = pybind11;

void bind_errors(py::module_& m);
void bind_codecs(py::module_& m);
void bind_clustering(py::module_& m);
void bind_codes(py::module_& m);
void bind_indexes(py::module_& m);
void bind_hash_indexes(py::module_& m);  // after bind_indexes
void bind_transforms(py::module_& m);
void bind_hamming(py::module_& m);
void bind_simd(py::module_& m);
void bind_kernels(py::module_& m);
void bind_tile_queries(py::module_& m);
void bind_math(py::module_& m);
void bind_images(py::module_& m);

}  // namespace annkit::bindings
