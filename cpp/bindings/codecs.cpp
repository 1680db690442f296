#include <pybind11/stl.h>

#include "annkit/codec/bits.h"
#include "annkit/codec/rabitq.h"
#include "annkit/codec/raw.h"
#include "arrays.h"
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

    py::class_<RaBitQ, Codec>(m, "RaBitQ",
                              R"doc(One to eight bits a dimension of the randomly rotated row, with unbiased distances.

The first bit of each dimension, its sign, gives an estimate of the distance and a bound of the estimate's error; the
other bits are read only where that bound cannot decide. A row takes ``bits`` bits a dimension, rounded up to a multiple
of 8 dimensions, and 8 bytes beside them (``bits=1``), or 16 (20 in lists of residuals). Scores are estimates: of
squared distances they may be slightly negative. Of more than one bit the bound holds for all but about one pair in a
thousand.

Parameters
----------
bits : int, default 1
    Bits a dimension, 1 to 8.

References
----------
Gao, Long: RaBitQ: Quantizing high-dimensional vectors with a theoretical error bound for approximate nearest neighbor
search, SIGMOD 2024 (sections 3 and 4). Gao et al.: Practical and asymptotically optimal quantization of
high-dimensional vectors in Euclidean space for approximate nearest neighbor search, SIGMOD 2025 (section 3).

Examples
--------
>>> import annkit as ak
>>> ak.RaBitQ(bits=4)
RaBitQ(bits=4))doc")
        .def(py::init([](py::handle bits) { return RaBitQ(count_from(bits, "bits")); }), py::arg("bits") = 1)
        .def_property_readonly("bits", &RaBitQ::bits, "int: bits a dimension.");
}

}  // namespace annkit::bindings
