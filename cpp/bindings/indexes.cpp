#include "indexes.h"

#include "annkit/codec/certified.h"
#include "annkit/core/errors.h"
#include "annkit/index/flat.h"
#include "annkit/index/hnsw.h"
#include "annkit/index/ivf.h"
#include "annkit/index/pipeline.h"
#include "annkit/index/refine.h"
#include "index_call_documents.h"
#include "index_calls.h"
#include "index_documents.h"
#include "module.h"
#include "transforms.h"

namespace annkit::bindings {

const Codec& codec_from(const py::object& codec) {
    static const Raw plain("f32");
    if (codec.is_none()) return plain;
    if (!py::isinstance<Codec>(codec))
        fail<TypeError>("codec is ", py::cast<std::string>(py::repr(codec)),
                        ", expected a codec such as annkit.Raw(\"f32\") or annkit.SQ(8)");
    return codec.cast<const Codec&>();
}

namespace {

std::unique_ptr<Ivf> make_ivf(py::handle lists, const py::object& codec, py::object residual, const Hnsw* coarse,
                              std::string_view metric_name) {
    std::optional<bool> of_residuals;
    if (!residual.is_none()) of_residuals = residual.cast<bool>();
    return std::make_unique<Ivf>(count_from(lists, "lists"), codec_from(codec), metric_from(metric_name), of_residuals,
                                 coarse);
}

std::unique_ptr<Hnsw> make_hnsw(py::handle degree, py::handle ef_build, const py::object& codec,
                                const py::object& build_codec, std::string_view metric_name) {
    const Codec* build = build_codec.is_none() ? nullptr : &codec_from(build_codec);
    return std::make_unique<Hnsw>(count_from(degree, "degree"), count_from(ef_build, "ef_build"), codec_from(codec),
                                  build, metric_from(metric_name));
}

// Transforms, and the index at the end.
std::unique_ptr<Pipeline> make_pipeline(const py::args& parts) {
    check<TypeError>(parts.size() >= 2, "Pipeline got ", parts.size(), " parts, expected transforms and then an index");
    std::vector<std::unique_ptr<Transform>> transforms;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (!py::isinstance<Transform>(parts[i]))
            fail<TypeError>("part ", i, " is ", py::cast<std::string>(py::repr(parts[i])), ", expected a transform");
        transforms.push_back(copy_of(parts[i].cast<const Transform&>()));
    }
    const py::object last = parts[parts.size() - 1];
    if (!py::isinstance<Index>(last))
        fail<TypeError>("the last part is ", py::cast<std::string>(py::repr(last)), ", expected an index");
    return std::make_unique<Pipeline>(std::move(transforms), last.cast<const Index&>().clone());
}

py::tuple transforms(const Pipeline& pipeline) {
    auto copies = run([&] { return pipeline.transforms(); });
    py::list out;
    for (auto& one : copies) out.append(py::cast(std::move(one)));
    return py::tuple(out);
}

std::unique_ptr<Flat> make_flat(const py::object& codec, std::string_view metric_name, py::object scan) {
    const Metric metric = metric_from(metric_name);
    const Codec& given = codec_from(codec);
    if (scan.is_none()) return std::make_unique<Flat>(given, metric);
    check(py::isinstance<py::str>(scan) && py::cast<std::string>(scan) == "sq8", "scan is ",
          py::cast<std::string>(py::repr(scan)), ", expected None or \"sq8\"");
    const auto* raw = dynamic_cast<const Raw*>(&given);
    check(raw != nullptr, "scan=\"sq8\" is for float codecs, got ", given.repr());
    return std::make_unique<Flat>(Certified(*raw, metric == Metric::cosine), metric);
}

}  // namespace

void bind_indexes(py::module_& m) {
    using py::arg;
    const auto none = py::none();
    py::class_<Index> base(m, "Index", "What every index can do. See the subclasses.");
    bind_index_calls(m, base);

    py::class_<Flat, Index>(m, "Flat", documents::kFlat)
        .def(py::init(&make_flat), py::kw_only(), arg("codec") = none, arg("metric") = "l2", arg("scan") = none);

    py::class_<Hnsw, Index>(m, "HNSW", documents::kHnsw)
        .def(py::init(&make_hnsw), py::kw_only(), arg("degree") = Hnsw::kDefaultDegree,
             arg("ef_build") = Hnsw::kDefaultEfBuild, arg("codec") = none, arg("build_codec") = none,
             arg("metric") = "l2")
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("degree", &Hnsw::degree, "int: the most links of a node in the base layer.")
        .def_property_readonly("ef_build", &Hnsw::ef_build,
                               "int: how many near rows a new one chooses its links from.");

    py::class_<Ivf, Index>(m, "IVF", documents::kIvf)
        .def(py::init(&make_ivf), py::kw_only(), arg("lists"), arg("codec") = none, arg("residual") = none,
             arg("coarse") = none, arg("metric") = "l2")
        .def_property_readonly("lists", &Ivf::lists, "int: how many lists there are.");

    py::class_<Pipeline, Index>(m, "Pipeline", documents::kPipeline)
        .def(py::init(&make_pipeline))
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("transforms", transforms,
                               "tuple of Transform: copies of the transforms, with what they have learned.");

    py::class_<Refine, Index>(m, "Refine", documents::kRefine)
        .def(py::init([](const Index& base, const py::object& codec, double k_factor) {
                 return std::make_unique<Refine>(base, codec_from(codec), k_factor);
             }),
             arg("base"), py::kw_only(), arg("codec") = none, arg("k_factor") = Refine::kDefaultFactor)
        .def("stats", stats, documents::kHnswStats)
        .def_property_readonly("k_factor", &Refine::k_factor, "float: candidates a hit, by default.");
}

}  // namespace annkit::bindings
