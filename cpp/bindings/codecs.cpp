#include <pybind11/stl.h>

#include <shared_mutex>

#include "annkit/codec/bits.h"
#include "annkit/codec/product.h"
#include "annkit/codec/raw.h"
#include "arrays.h"
#include "codec_calls.h"
#include "module.h"

namespace annkit::bindings {

namespace {

Product make_product(py::handle m, py::handle bits, py::handle seed) {
    std::optional<uint64_t> given;
    if (!seed.is_none()) given = seed_from(seed);
    return Product(count_from(m, "m"), count_from(bits, "bits"), given);
}

py::array_t<float> codebooks(const Product& codec) {
    const ProductQuantizer quantizer = run([&] {
        const std::shared_lock lock(lock_of(codec));
        if (!codec.is_fitted()) fail<NotFittedError>(codec.repr(), " has not been fitted; call fit(x) first");
        return codec.quantizer();
    });
    const auto values = quantizer.codebooks();
    return py::array_t<float>({quantizer.m(), quantizer.entries(), quantizer.group()}, values.data());
}

void bind_product(py::module_& m) {
    using py::arg;
    py::class_<Product, Codec>(m, "PQ",
                               R"doc(Product quantization: groups of dimensions, each coded by its nearest centroid.

The dimensions are cut into m groups of equal size. A codebook of 2 ** bits centroids is learned for each by k-means, and
a row keeps m numbers of ``bits`` bits.

Parameters
----------
m : int
    How many groups; it has to divide the dimension.
bits : int, default 8
    4 to 12. Codes of 4 bits are scanned by far the fastest, as tables of 16 entries fit into registers.
seed : int, optional
    Used in place of the one that ``fit`` is given.

Notes
-----
Jegou, Douze, Schmid, "Product quantization for nearest neighbor search", 2011. ``fit`` wants 2 ** bits rows at least, and
does well with 39 times as many or more; it trains on 256 times as many, drawn at random, where there are more.

Examples
--------
>>> import annkit as ak, numpy as np
>>> x = np.random.default_rng(0).standard_normal((1000, 8), np.float32)
>>> codec = ak.PQ(4, bits=4).fit(x)
>>> codes = codec.encode(x)
>>> codes.shape
(1000, 2)
>>> bool(((codec.decode(codes) - x) ** 2).mean() < 0.15)
True
>>> codec.codebooks_.shape
(4, 16, 2))doc")
        .def(py::init(&make_product), arg("m"), py::kw_only(), arg("bits") = 8, arg("seed") = py::none())
        .def_property_readonly(
            "m", [](const Product& a) { return a.quantizer().m(); }, "int: the number of groups.")
        .def_property_readonly(
            "bits", [](const Product& a) { return a.quantizer().bits(); }, "int: bits a group.")
        .def_property_readonly("seed", &Product::seed, "int or None: the seed given.")
        .def_property_readonly("codebooks_", codebooks,
                               "ndarray of float32, shape (m, 2 ** bits, dim / m): the centroids of each group.")
        .def(
            "__eq__", [](const Product& a, const Product& b) { return a.repr() == b.repr(); }, py::is_operator())
        .def("__hash__", [](const Product& a) { return py::hash(py::str(a.repr())); });
}

}  // namespace

void bind_codecs(py::module_& m) {
    py::class_<Codec> base(m, "Codec", "Turns rows into codes. See the subclasses.");
    base.def("__repr__", &Codec::repr);
    bind_codec_calls(base);
    bind_product(m);

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
}

}  // namespace annkit::bindings
