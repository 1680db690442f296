#include <pybind11/stl.h>

#include <shared_mutex>

#include "annkit/codec/bits.h"
#include "annkit/codec/product.h"
#include "annkit/codec/rabitq.h"
#include "annkit/codec/raw.h"
#include "annkit/codec/scalar.h"
#include "annkit/codec/sign_bits.h"
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

py::array medians(const SignBits& codec) {
    const std::vector<float> found = run([&] {
        const std::shared_lock lock(lock_of(codec));
        if (codec.medians().empty()) fail<NotFittedError>(codec.repr(), " has learned no medians");
        return codec.medians();
    });
    return to_array(found);
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
does well with 39 times as many or more; it trains on 256 times as many, at least 16,384, drawn at random, where there
are more.

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
    float32, float16, bfloat16, uint8 or int8. The float types take arrays of all these types, and of float64, and
    round them; a value beyond float16 is a ValueError. The integer types take arrays of their own type alone.

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

    py::class_<Scalar, Codec>(
        m, "SQ", R"doc(Scalar quantization: each dimension in 8, 6 or 4 bits between its smallest and largest value.

Codes are scored in integers, and candidates by the decoded row.

Parameters
----------
bits : {8, 6, 4}, default 8
uniform : bool, default False
    One range for all dimensions.
outliers : float, default 0
    The share of values at either end that the range leaves out; they are moved to the border. 0 keeps all, and fit warns
    where a few rows lie so far away that the codes of others would hardly differ.

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
        .def_property_readonly("outliers", &Scalar::outliers,
                               "float: the share that the range leaves out at either end.");

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

    py::class_<SignBits, Codec>(m, "SignBits", R"doc(One bit a dimension: whether the value is above a threshold.

Rows and queries are floats; their codes are compared by Hamming distance, or asymmetrically. Behind ``ITQ``, ``Spectral`` or ``Projection``
they are learned or random binary codes.

Parameters
----------
threshold : {"zero", "median"}, default "zero"
    "median" is learned, each dimension's own: half of the rows have the bit.
asymmetric : bool, default False
    Queries stay floats, and a row is the thresholds plus or minus 1: for the metrics "l2", "euclidean" and "ip". The
    last gives the sum of q[j] where the bit is set, minus the others. More neighbours are found by the same bits, as the
    query's own values are not rounded to signs.

Notes
-----
Asymmetric scores are those of Gordo, Perronnin, Gong and Lazebnik, "Asymmetric distances for binary embeddings", TPAMI
2014, with signs for the values that codes stand for. They are looked up as those of ``PQ(bits=4)`` are. A graph
(``HNSW``) compares rows by their bits, queries with rows by such scores.

Bit j % 8 of byte j // 8 belongs to dimension j; the last byte is filled with zeros. Codes are decoded to the threshold plus
or minus 1, those of "zero" to 8 dimensions a byte where no index knows the dimension.

Examples
--------
>>> import annkit as ak, numpy as np
>>> codec = ak.SignBits()
>>> codec.encode([[0.5, -1.0, 0.0, 3.0, -2.0, 0.1, 0.2, -0.3]])
array([[105]], dtype=uint8)
>>> codec.decode(codec.encode([[0.5, -1.0, 0.0, 3.0, -2.0, 0.1, 0.2, -0.3]]))
array([[ 1., -1., -1.,  1., -1.,  1.,  1., -1.]], dtype=float32)
>>> index = ak.Flat(codec=ak.SignBits(asymmetric=True), metric="ip").add([[2.0, -1.0], [3.0, 5.0]])
>>> index.search([0.5, 1.0], k=2)
SearchResult(distances=array([[ 1.5, -0.5]], dtype=float32), ids=array([[1, 0]])))doc")
        .def(py::init([](std::string_view threshold, bool asymmetric) {
                 check(threshold == "zero" || threshold == "median", "threshold is \"", threshold,
                       "\", expected \"zero\" or \"median\"");
                 return SignBits(threshold == "median", asymmetric);
             }),
             py::arg("threshold") = "zero", py::kw_only(), py::arg("asymmetric") = false)
        .def_property_readonly(
            "threshold", [](const SignBits& a) { return a.median() ? "median" : "zero"; },
            "str: what values are compared with.")
        .def_property_readonly("asymmetric", &SignBits::asymmetric, "bool: whether queries stay floats.")
        .def_property_readonly("medians_", medians,
                               "ndarray of float32, shape (dim,): the thresholds, where they are learned.");

    py::class_<RaBitQ, Codec>(m, "RaBitQ",
                              R"doc(One to eight bits a dimension of the randomly rotated row, with unbiased distances.

The first bit of each dimension, its sign, gives an estimate of the distance and a bound of the estimate's error; the
other bits are read only where that bound cannot decide. A row takes ``bits`` bits a dimension, rounded up to a multiple
of 8 dimensions, and 8 bytes beside them (``bits=1``), or 16 (20 in lists of residuals). Scores are estimates: of
squared distances they may be slightly negative. Of more than one bit the bound holds for all but about one pair in a
thousand; there it takes the score's place.

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
