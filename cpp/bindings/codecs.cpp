#include <pybind11/stl.h>

#include "annkit/codec/bits.h"
#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "module.h"

namespace annkit::bindings {

void bind_codecs(py::module_& m) {
    py::class_<Codec>(m, "Codec", "Turns rows into codes. See the subclasses.").def("__repr__", &Codec::repr);

    py::class_<Raw, Codec>(m, "Raw", R"doc(Rows as they are, in a type of choice.

Parameters
----------
type : {"f32", "f16", "bf16", "u8", "i8"}, default "f32"
    float32, float16, bfloat16, uint8 or int8. The float types take any numeric input and round it; a value beyond
    float16 is a ValueError. The integer types take arrays of their own type alone.

Examples
--------
>>> import annkit as ak
>>> ak.Flat(codec=ak.Raw("f16"), metric="cosine")
Flat(codec=Raw("f16"), metric="cosine"))doc")
        .def(py::init<std::string_view>(), py::arg("type") = "f32")
        .def_property_readonly("type", &Raw::type, "str: the element type.")
        .def(
            "__eq__", [](const Raw& a, const Raw& b) { return a.type() == b.type(); }, py::is_operator())
        .def("__hash__", [](const Raw& a) { return py::hash(py::str(a.repr())); })
        .def("__reduce__",
             [](py::object self) { return py::make_tuple(py::type::of(self), py::make_tuple(self.attr("type"))); });

    py::class_<Scalar, Codec>(m, "SQ", R"doc(Scalar quantization: each dimension in 8, 6 or 4 bits between its smallest and largest value.

Codes are scored in integers, and candidates by the decoded row.

Parameters
----------
bits : {8, 6, 4}, default 8
uniform : bool, default False
    One range for all dimensions.
outliers : float, default 0
    The share of values at either end that the range leaves out; they are moved to the border. 0 keeps all.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).random((1000, 32), dtype=np.float32)
>>> index = ak.Flat(codec=ak.SQ(8)).fit(x).add(x)
>>> bool(abs(index.reconstruct([7]) - x[7]).max() < 1 / 255)
True)doc")
        .def(py::init<size_t, bool, double>(), py::arg("bits") = 8, py::kw_only(), py::arg("uniform") = false,
             py::arg("outliers") = 0.0)
        .def_property_readonly("bits", &Scalar::bits, "int: bits a dimension.")
        .def_property_readonly("uniform", &Scalar::uniform, "bool: whether one range serves all dimensions.")
        .def_property_readonly("outliers", &Scalar::outliers, "float: the share that the range leaves out at either end.");

    py::class_<Bits, Codec>(m, "Bits", R"doc(Packed binary codes, eight bits to a byte, compared by Hamming distance.

Arrays are uint8 of shape (n, bits / 8); ``index.dim`` counts bits.

Examples
--------
>>> import annkit as ak, numpy as np
>>> index = ak.Flat(codec=ak.Bits(), metric="hamming").add(np.array([[0b1010, 0], [0b1111, 0]], np.uint8))
>>> index.search(np.array([0b1011, 0], np.uint8), k=2)
SearchResult(distances=array([[1, 1]], dtype=int32), ids=array([[0, 1]])))doc")
        .def(py::init<>())
        .def(
            "__eq__", [](const Bits&, const Bits&) { return true; }, py::is_operator())
        .def("__hash__", [](const Bits& a) { return py::hash(py::str(a.repr())); })
        .def("__reduce__", [](py::object self) { return py::make_tuple(py::type::of(self), py::tuple()); });
}

}  // namespace annkit::bindings
