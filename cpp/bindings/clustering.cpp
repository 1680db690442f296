#include <pybind11/stl.h>

#include <cmath>
#include <mutex>

#include "annkit/core/check_rows.h"
#include "annkit/math/kmeans.h"
#include "annkit/math/middle.h"
#include "arrays.h"
#include "module.h"

namespace annkit::bindings {
namespace {

// What a fit learned. Never changed, only replaced: a predict goes on with what it started with.
struct Clusters {
    Clusters(KMeansResult result, size_t dim, bool spherical)
        : learned(std::move(result)), nearest(learned.centroids, dim, spherical, {}, center_of(dim, spherical)) {}
    std::vector<float> center_of(size_t dim, bool spherical) const {
        if (spherical) return {};
        return center_of_far(Rows::of(learned.centroids.data(), learned.centroids.size() / dim, dim));
    }

    KMeansResult learned;
    Nearest nearest;
};

class KMeans {
  public:
    KMeans(const KMeansOptions& options, uint64_t seed) : options_(options), seed_(seed) {}

    const KMeansOptions& options() const { return options_; }
    uint64_t seed() const { return seed_; }

    void fit(const Rows& rows, const Call& call) { set(kmeans(rows, options_, {seed_, call}), rows.dim); }

    void set(KMeansResult learned, size_t dim) {
        auto clusters = std::make_shared<const Clusters>(std::move(learned), dim, options_.spherical);
        const std::lock_guard lock(mutex_);
        clusters_ = std::move(clusters);
    }

    bool is_fitted() const {
        const std::lock_guard lock(mutex_);
        return clusters_ != nullptr;
    }

    std::shared_ptr<const Clusters> clusters() const {
        const std::lock_guard lock(mutex_);
        check<NotFittedError>(clusters_ != nullptr, "the KMeans is not fitted, call fit first");
        return clusters_;
    }

  private:
    KMeansOptions options_;
    uint64_t seed_;
    mutable std::mutex mutex_;
    std::shared_ptr<const Clusters> clusters_;
};

size_t whole(py::handle given, std::string_view what) {
    return PyIndex_Check(given.ptr()) != 0 && given.cast<int64_t>() == 0 ? 0 : count_from(given, what);
}

std::unique_ptr<KMeans> make(py::handle k, py::handle rounds, std::string_view start, bool spherical, double balance,
                             py::handle sample, py::handle seed) {
    check(start == "random" || start == "k-means++", "start is \"", start, "\", expected \"random\" or \"k-means++\"");
    check(std::isfinite(balance) && balance >= 0, "balance is ", balance, ", expected a number from 0 on");
    return std::make_unique<KMeans>(KMeansOptions{.k = count_from(k, "k"),
                                                  .rounds = count_from(rounds, "rounds"),
                                                  .plus_plus = start != "random",
                                                  .spherical = spherical,
                                                  .balance = balance,
                                                  .sample = whole(sample, "sample")},
                                    seed_from(seed));
}

std::string_view start_of(const KMeans& model) { return model.options().plus_plus ? "k-means++" : "random"; }

std::string repr(const KMeans& model) {
    const KMeansOptions& o = model.options();
    return concat("KMeans(", o.k, ", rounds=", o.rounds, ", start=\"", start_of(model),
                  "\", spherical=", o.spherical ? "True" : "False",
                  ", balance=", py::cast<std::string>(py::repr(py::float_(o.balance))), ", sample=", o.sample,
                  ", seed=", model.seed(), ")");
}

py::object fit(py::object self, py::handle x, py::handle threads, py::handle progress) {
    auto& model = self.cast<KMeans&>();
    const Input input = rows_from(x, "the array");
    PythonMonitor monitor(progress, model.options().rounds);
    const Call call{threads_from(threads), &monitor};
    run([&] {
        check_rows(input.rows, "the array", call);
        model.fit(input.rows, call);
    });
    return self;
}

py::array_t<int64_t> predict(const KMeans& model, py::handle x, py::handle threads) {
    const auto clusters = model.clusters();
    const Input input = rows_from(x, "the array");
    PythonMonitor monitor;
    const Call call{threads_from(threads), &monitor};
    py::array_t<int64_t> out{py::ssize_t(input.rows.n)};
    int64_t* data = out.mutable_data();
    run([&] {
        std::vector<uint32_t> nearest(input.rows.n);
        clusters->nearest.find(input.rows, nearest.data(), nullptr, call);
        std::copy(nearest.begin(), nearest.end(), data);
    });
    return out;
}

py::array_t<float> centroids_of(const Clusters& clusters) {
    return to_array(clusters.learned.centroids)
        .reshape({py::ssize_t(clusters.nearest.size()), py::ssize_t(clusters.nearest.dim())});
}

py::array_t<float> centroids(const KMeans& model) { return centroids_of(*model.clusters()); }

// The constructor's arguments, and what was learned. (pybind11 calls no __setstate__ of an object that is made
// already.)
py::tuple reduce(py::object self) {
    const auto& model = self.cast<const KMeans&>();
    const KMeansOptions& o = model.options();
    py::dict rest;
    rest["rounds"] = o.rounds;
    rest["start"] = start_of(model);
    rest["spherical"] = o.spherical;
    rest["balance"] = o.balance;
    rest["sample"] = o.sample;
    rest["seed"] = model.seed();
    py::object learned = py::none();
    const auto arguments = [&] { return py::make_tuple(py::type::of(self), o.k, rest, learned); };
    if (model.is_fitted()) {
        const auto clusters = model.clusters();  // of one fit
        learned = py::make_tuple(centroids_of(*clusters), to_array(clusters->learned.objective));
    }
    const auto make = py::module_::import("annkit._pickle").attr("kmeans_of");
    const auto state = py::getattr(self, "__dict__", py::none());  // of a subclass
    return py::make_tuple(make, arguments(), state);
}

void restore(KMeans& model, py::handle centroids, const py::array_t<double, py::array::forcecast>& objective) {
    const Input input = rows_from(centroids, "the centroids");
    check(input.rows.n == model.options().k && input.rows.dim <= (size_t(1) << 24), "got ", input.rows.n,
          " centroids of dimension ", input.rows.dim, ", expected ", model.options().k);
    const FloatBlock block(input.rows, "the centroids");
    KMeansResult learned;
    for (size_t i = 0; i < input.rows.n; ++i)
        learned.centroids.insert(learned.centroids.end(), block.row(i), block.row(i) + input.rows.dim);
    check(objective.ndim() == 1, "the objective has ", objective.ndim(), " dimensions, expected 1");
    for (py::ssize_t i = 0; i < objective.size(); ++i) learned.objective.push_back(objective.at(i));
    model.set(std::move(learned), input.rows.dim);
}

constexpr const char* kClass = R"doc(k-means: ``k`` centroids that lie near the rows (Lloyd 1982).

Parameters
----------
k : int
    How many centroids.
rounds : int, default 10
    Each assigns the rows to their nearest centroids and moves those to the means of their rows. Ends earlier once
    assignments stop changing.
start : {"random", "k-means++"}, default "random"
    Different rows at random, or rows drawn with a chance that grows with the squared distance from those before (Arthur
    and Vassilvitskii 2007), of a sample of ``32 * k`` rows.
spherical : bool, default False
    Assign rows by the largest inner product, and scale centroids to length 1 after each round.
balance : float, default 0.0
    Above 0, crowded centroids draw fewer rows while training: a cell is to be left with about ``1 / (1 + balance)`` of
    what it has too many or too few. 0.3 to 2 are useful.
sample : int, default 256
    Train on so many rows a centroid at most, chosen at random; 0 takes all.
seed : int, default 0
    The same rows and seed give the same centroids, for any number of threads.

Examples
--------
>>> import annkit as ak, numpy as np
>>> rng = np.random.default_rng(0)
>>> x = np.concatenate([rng.normal(center, 1, (100, 2)) for center in (0, 50, 100)])
>>> model = ak.KMeans(3, start="k-means++").fit(x)
>>> np.sort(model.centroids_.mean(axis=1)).round()
array([  0.,  50., 100.], dtype=float32)
>>> bool(model.predict(x[:1])[0] == model.predict(x[1:2])[0])
True)doc";

constexpr const char* kFit = R"doc(Learn centroids from rows.

Parameters
----------
x : array of shape (n, dim)
    float32, float64, float16, bfloat16, uint8 or int8, with any strides.
threads : int, optional
    None takes the default.
progress : bool or callable, optional
    True shows a bar; a callable gets ``(done, total)``, in rounds.

Returns
-------
KMeans
    Itself, with ``centroids_`` and ``objective_``.

Raises
------
ValueError
    Fewer rows than centroids, or a NaN or infinite value.

Warns
-----
UserWarning
    Fewer than 39 rows a centroid.)doc";

constexpr const char* kRestore = R"doc(Become what a pickle says that was learned.

Parameters
----------
centroids : array of shape (k, dim)
objective : array of shape (rounds,))doc";

constexpr const char* kPredict = R"doc(Return the nearest centroid of each row.

Centroids are compared by ``|c|^2 - 2 x.c`` in float32 (``-x.c`` if spherical), and the lowest number wins among equals.
Where all centroids lie far from the origin their middle is taken away first, so that no digits are lost. The answer for a row does not depend on the other rows or on threads.

Parameters
----------
x : array of shape (n, dim)
threads : int, optional
    None takes the default.

Returns
-------
array of shape (n,), int64

Raises
------
NotFittedError
    Before fit.)doc";

}  // namespace

template <>
inline constexpr bool kIsBound<KMeans> = true;

void bind_clustering(py::module_& m) {
    using py::arg;
    py::class_<KMeans>(m, "KMeans", kClass)
        .def(py::init(&make), arg("k"), py::kw_only(), arg("rounds") = 10, arg("start") = "random",
             arg("spherical") = false, arg("balance") = 0.0, arg("sample") = 256, arg("seed") = 0)
        .def("fit", fit, arg("x"), py::kw_only(), arg("threads") = py::none(), arg("progress") = py::none(), kFit)
        .def("__reduce__", reduce)
        .def("_restore", restore, arg("centroids"), arg("objective"), kRestore)
        .def("predict", predict, arg("x"), py::kw_only(), arg("threads") = py::none(), kPredict)
        .def_property_readonly(
            "k", [](const KMeans& model) { return model.options().k; }, "int: how many centroids.")
        .def_property_readonly(
            "rounds", [](const KMeans& model) { return model.options().rounds; }, "int: rounds at most.")
        .def_property_readonly("start", start_of, "str: where it starts.")
        .def_property_readonly(
            "spherical", [](const KMeans& model) { return model.options().spherical; },
            "bool: whether it goes by inner products.")
        .def_property_readonly(
            "balance", [](const KMeans& model) { return model.options().balance; }, "float: the penalty of crowds.")
        .def_property_readonly(
            "sample", [](const KMeans& model) { return model.options().sample; },
            "int: rows a centroid that it trains on at most; 0: all.")
        .def_property_readonly("seed", &KMeans::seed, "int: the seed.")
        .def_property_readonly("centroids_", centroids, "array of shape (k, dim), float32.")
        .def_property_readonly(
            "objective_", [](const KMeans& model) { return to_array(model.clusters()->learned.objective); },
            R"doc(array, float64: after each round, the sum of squared distances of the rows trained on from their
centroids; if spherical, of their negative inner products.)doc")
        .def("__repr__", repr);
}

}  // namespace annkit::bindings
