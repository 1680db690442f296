// annkit.simd, and the decompositions of math/ for their tests.
#include <pybind11/stl.h>

#include "annkit/math/linalg.h"
#include "annkit/math/polar.h"
#include "annkit/simd/kernels.h"
#include "arrays.h"
#include "module.h"

namespace annkit::bindings {

constexpr simd::Level kLevels[] = {simd::Level::scalar, simd::Level::neon, simd::Level::avx2, simd::Level::avx512};

void bind_simd(py::module_& m) {
    py::module_ module = m.def_submodule("simd", "The instruction set in use.");
    module.def(
        "level", [] { return simd::name(simd::kernels().level); },
        R"doc(Return the instruction set in use: "scalar", "avx2", "avx512" or "neon".

It is chosen when it is first needed; the environment variable ANNKIT_SIMD sets the highest.

Returns
-------
str)doc");
    module.def(
        "levels",
        [] {
            std::vector<std::string> names;
            for (simd::Level level : kLevels)
                if (simd::kernels_at(level) != nullptr) names.emplace_back(simd::name(level));
            return names;
        },
        R"doc(Return the instruction sets that this machine and build have, lowest first.

Returns
-------
list of str)doc");
}

using Matrix = py::array_t<double, py::array::c_style | py::array::forcecast>;

void bind_math(py::module_& m) {
    py::module_ math = m.def_submodule("_math", "Decompositions, for tests.");
    const auto span = [](const Matrix& a) { return std::span(a.data(), size_t(a.size())); };
    const auto pair = [](const SymmetricEigen& found) {
        const auto n = py::ssize_t(found.values.size());
        return py::make_tuple(to_array(found.values), to_array(found.vectors).reshape({n, py::ssize_t(-1)}));
    };
    math.def(
        "symmetric_eigen",
        [=](const Matrix& a, size_t wanted, int threads) {
            return pair(symmetric_eigen(span(a), size_t(a.shape(0)), wanted, {threads}));
        },
        py::arg("matrix"), py::arg("wanted") = SIZE_MAX, py::arg("threads") = 0);
    math.def("generalised_eigen", [=](const Matrix& a, const Matrix& b, size_t wanted) {
        return pair(generalised_eigen(span(a), span(b), size_t(a.shape(0)), wanted, {}));
    });
    math.def(
        "polar_factor",
        [](const py::array_t<float, py::array::c_style>& a, double least, double most) {
            std::vector<float> values(a.data(), a.data() + a.size());
            const auto factor = polar_factor(values, size_t(a.shape(0)), size_t(a.shape(1)), {least, most}, {});
            return to_array(factor).reshape({a.shape(0), a.shape(1)});
        },
        py::arg("a"), py::arg("least"), py::arg("most") = 0.0);
}

}  // namespace annkit::bindings
