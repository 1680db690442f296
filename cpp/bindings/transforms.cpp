#include <mutex>

#include "annkit/core/check_rows.h"
#include "annkit/core/registry.h"
#include "annkit/core/writer.h"
#include "annkit/transform/center.h"
#include "annkit/transform/itq.h"
#include "annkit/transform/normalize.h"
#include "annkit/transform/opq.h"
#include "annkit/transform/pca.h"
#include "annkit/transform/projection.h"
#include "annkit/transform/rotation.h"
#include "annkit/transform/spectral.h"
#include "arrays.h"
#include "module.h"
#include "transform_documents.h"
#include "transforms.h"

namespace annkit::bindings {
namespace {

// Calls work on copies, which are cheap, and a fit replaces the transform at its end: threads may fit and apply the
// same one, and a fit that fails leaves it as it was. Held for a copy or a move only.
std::mutex replacing;

template <class T>
T fitted_copy(const T& transform) {
    const std::lock_guard lock(replacing);
    if (!transform.is_fitted()) fail<NotFittedError>(transform.repr(), " is not fitted: call fit first");
    return transform;
}

template <class T>
py::object fit(py::object self, py::handle x, py::handle labels, py::handle seed, py::handle threads) {
    auto& transform = self.cast<T&>();
    const Input input = rows_from(x, "the array");
    const py::array_t<int64_t> classes = labels_from(labels, input.rows.n);
    PythonMonitor monitor;
    const Fit how{
        seed_from(seed, INT64_MAX), {threads_from(threads), &monitor}, {classes.data(), size_t(classes.size())}};
    run([&] {
        if (!transform.looks_at_all_rows()) check_rows(input.rows, "the array", how.call);
        const std::unique_ptr<Transform> fresh = copy_of(transform);
        fresh->fit(input.rows, how);
        const std::lock_guard lock(replacing);
        transform = std::move(static_cast<T&>(*fresh));
    });
    return self;
}

py::array apply(const Transform& self, py::handle x, py::handle threads) {
    const auto transform = copy_of(self);
    const Input input = rows_from(x, "the array");
    if (!transform->is_fitted()) fail<NotFittedError>(transform->repr(), " is not fitted: call fit first");
    auto out = new_array<float>(input.rows.n, transform->dim_out(input.rows.dim));
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    float* data = out.mutable_data();
    run([&] { annkit::apply(*transform, input.rows, data, call); });
    return out;
}

py::array invert(const Transform& self, py::handle y, py::handle threads) {
    const auto transform = copy_of(self);
    const Input input = rows_from(y, "the array");
    if (!transform->is_fitted()) fail<NotFittedError>(transform->repr(), " is not fitted: call fit first");
    auto out = new_array<float>(input.rows.n, transform->dim_in());
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    float* data = out.mutable_data();
    run([&] { annkit::invert(*transform, input.rows, data, call); });
    return out;
}

py::bytes to_bytes(const Transform& self) {
    const auto transform = copy_of(self);
    const auto bytes = run([&] {
        Writer out(transform->kind());
        transform->save(out);
        return out.to_bytes();
    });
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::unique_ptr<Transform> from_bytes(const py::buffer& given) {
    const py::buffer_info info = given.request();
    check<TypeError>(info.ndim == 1 && info.itemsize == 1, "expected a buffer of bytes");
    check<TypeError>(info.size <= 1 || info.strides[0] == 1, "the buffer has a stride of ",
                     info.size > 1 ? info.strides[0] : 1, ", expected bytes side by side");
    return run([&] {
        const auto* data = static_cast<const std::byte*>(info.ptr);
        return Registry<Transform>::load_file(Reader::from_bytes({data, size_t(info.size)}));
    });
}

py::array matrix_of(const Affine& map) {
    py::array_t<float> out({py::ssize_t(map.outputs()), py::ssize_t(map.inputs())});
    std::copy(map.matrix().begin(), map.matrix().end(), out.mutable_data());
    return out;
}

template <class T>
auto leaf(py::module_& m, const char* name, const char* doc) {
    return py::class_<T, Transform>(m, name, doc)
        .def("fit", fit<T>, py::arg("x"), py::kw_only(), py::arg("labels") = py::none(), py::arg("seed") = 0,
             py::arg("threads") = py::none(), documents::kTransformFit);
}

Pca make_pca(py::handle dim, py::handle whiten, py::handle balance) {
    if (!PyFloat_Check(whiten.ptr()) && !PyBool_Check(whiten.ptr()) && PyIndex_Check(whiten.ptr()) == 0)
        fail<TypeError>("whiten is a ", py::cast<std::string>(py::type::of(whiten).attr("__name__")),
                        ", expected a bool or a float");
    return Pca({count_from(dim, "dim"), py::cast<double>(py::float_(py::reinterpret_borrow<py::object>(whiten))),
                balance.is_none() ? 0 : count_from(balance, "balance")});
}

size_t rounds_from(py::handle given, std::string_view what) {
    if (PyIndex_Check(given.ptr()) == 0)
        fail<TypeError>(what, " is a ", py::cast<std::string>(py::type::of(given).attr("__name__")),
                        ", expected an integer");
    const bool none = py::reinterpret_borrow<py::object>(given).equal(py::int_(0));
    return none ? 0 : count_from(given, what);
}

Opq make_opq(py::handle m, py::handle dim, py::handle bits, py::handle rounds) {
    return Opq({count_from(m, "m"), dim.is_none() ? 0 : count_from(dim, "dim"), count_from(bits, "bits"),
                rounds_from(rounds, "rounds")});
}

Itq make_itq(py::handle bits, py::handle iterations, std::string_view start) {
    return Itq({count_from(bits, "bits"), rounds_from(iterations, "iterations"), Itq::start_from(start)});
}

Rotation make_rotation(py::handle dim, std::string_view kind) {
    check(kind == "random" || kind == "hadamard", "kind is \"", kind, "\", expected \"random\" or \"hadamard\"");
    return {dim.is_none() ? 0 : count_from(dim, "dim"), kind == "hadamard"};
}

void bind_base(py::module_& m) {
    using py::arg;
    py::class_<Transform>(m, "Transform", documents::kTransform)
        .def("apply", apply, arg("x"), py::kw_only(), arg("threads") = py::none(), documents::kApply)
        .def("invert", invert, arg("y"), py::kw_only(), arg("threads") = py::none(), documents::kInvert)
        .def("to_bytes", to_bytes, documents::kTransformToBytes)
        .def_static("from_bytes", from_bytes, arg("data"), documents::kTransformFromBytes)
        .def_property_readonly(
            "is_fitted", [](const Transform& self) { return copy_of(self)->is_fitted(); },
            "bool: whether ``apply`` can be called; always true of what learns nothing.")
        .def_property_readonly(
            "dim_in", [](const Transform& self) { return copy_of(self)->dim_in(); },
            "int: the dimension of the rows it takes; 0 before ``fit``, or if it takes any.")
        .def_property_readonly(
            "dim_out",
            [](const Transform& self) {
                const auto transform = copy_of(self);
                return transform->dim_out(transform->dim_in());
            },
            "int: the dimension of what it returns; 0 where that is not known yet.")
        .def("__repr__", [](const Transform& self) { return copy_of(self)->repr(); })
        .def("__reduce__",
             [](py::object self) {
                 return py::make_tuple(py::module_::import("annkit._pickle").attr("transform_from_bytes"),
                                       py::make_tuple(self.attr("to_bytes")()));
             })
        .def("__copy__", [](const Transform& self) { return copy_of(self); })
        .def("__deepcopy__", [](const Transform& self, py::handle) { return copy_of(self); }, arg("memo"));
}

}  // namespace

std::unique_ptr<Transform> copy_of(const Transform& transform) {
    const std::lock_guard lock(replacing);
    return transform.clone();
}

void bind_transforms(py::module_& m) {
    using py::arg;
    bind_base(m);
    leaf<Center>(m, "Center", documents::kCenter)
        .def(py::init<>())
        .def_property_readonly(
            "mean_", [](const Center& self) { return to_array(fitted_copy(self).mean()); },
            "ndarray of float32, shape (dim_in,): what is subtracted.");
    leaf<Normalize>(m, "Normalize", documents::kNormalize).def(py::init<>());
    leaf<Projection>(m, "Projection", documents::kProjection)
        .def(py::init([](py::handle dim, bool center) { return Projection(count_from(dim, "dim"), center); }),
             arg("dim"), py::kw_only(), arg("center") = false)
        .def_property_readonly(
            "matrix_", [](const Projection& self) { return matrix_of(fitted_copy(self).map()); },
            "ndarray of float32, shape (dim_out, dim_in): rows are multiplied by its transpose.")
        .def_property_readonly(
            "mean_", [](const Projection& self) { return to_array(fitted_copy(self).map().mean()); },
            "ndarray of float32, shape (dim_in,): what is subtracted; of shape (0,) where nothing is.");
    leaf<Rotation>(m, "Rotation", documents::kRotation)
        .def(py::init(&make_rotation), arg("dim") = py::none(), py::kw_only(), arg("kind") = "random")
        .def_property_readonly(
            "matrix_",
            [](const Rotation& self) {
                const Rotation rotation = fitted_copy(self);
                if (rotation.is_hadamard()) fail(rotation.repr(), " keeps no matrix: apply it to numpy.eye(dim_in)");
                return matrix_of(rotation.map());
            },
            "ndarray of float32, shape (dim_out, dim_in): orthonormal rows; of kind \"random\" only.");
    const Itq::Options itq;
    leaf<Itq>(m, "ITQ", documents::kItq)
        .def(py::init(&make_itq), arg("bits") = itq.bits, py::kw_only(), arg("iterations") = itq.iterations,
             arg("start") = "pca")
        .def_property_readonly(
            "mean_", [](const Itq& self) { return to_array(fitted_copy(self).map().mean()); },
            "ndarray of float32, shape (dim_in,): what is subtracted first.")
        .def_property_readonly(
            "matrix_", [](const Itq& self) { return matrix_of(fitted_copy(self).map()); },
            "ndarray of float32, shape (dim_out, dim_in): rows are multiplied by its transpose.");
    leaf<Spectral>(m, "Spectral", documents::kSpectral)
        .def(py::init([](py::handle bits) { return Spectral(count_from(bits, "bits")); }), arg("bits") = 64);
    const Opq::Options opq{1};
    leaf<Opq>(m, "OPQ", documents::kOpq)
        .def(py::init(&make_opq), arg("m"), py::kw_only(), arg("dim") = py::none(), arg("bits") = opq.bits,
             arg("rounds") = opq.rounds)
        .def_property_readonly(
            "matrix_", [](const Opq& self) { return matrix_of(fitted_copy(self).map()); },
            "ndarray of float32, shape (dim_out, dim_in): orthonormal rows; rows are multiplied by its transpose.");
    leaf<Pca>(m, "PCA", documents::kPca)
        .def(py::init(&make_pca), arg("dim"), py::kw_only(), arg("whiten") = false, arg("balance") = py::none())
        .def_property_readonly(
            "mean_", [](const Pca& self) { return to_array(fitted_copy(self).map().mean()); },
            "ndarray of float32, shape (dim_in,): what is subtracted first.")
        .def_property_readonly(
            "components_", [](const Pca& self) { return matrix_of(fitted_copy(self).map()); },
            "ndarray of float32, shape (dim_out, dim_in): a direction each row, scaled where ``whiten`` says so.")
        .def_property_readonly(
            "explained_variance_", [](const Pca& self) { return to_array(fitted_copy(self).variances()); },
            "ndarray of float64, shape (dim_out,): the variance along each component, before whitening.");
}

}  // namespace annkit::bindings
