"""Calls of KMeans: options, errors, progress, threads, copies."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest

import annkit as ak

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


def test_few_rows_are_a_warning_or_an_error(rng):
    x = rng.standard_normal((100, 4)).astype(np.float32)
    with pytest.raises(ValueError, match="got 100 rows, expected at least as many as centroids, 101"):
        ak.KMeans(101).fit(x)
    with pytest.warns(UserWarning, match=r"got 100 rows to train 3 centroids, expected at least 117"):
        ak.KMeans(3).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ak.KMeans(2).fit(x)
        model = ak.KMeans(3)
        with pytest.raises(UserWarning):
            model.fit(x)
    with pytest.raises(ak.NotFittedError):
        model.predict(x)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0,), {}, "k is 0"),
        ((-1,), {}, "k is -1"),
        ((2,), {"rounds": 0}, "rounds is 0"),
        ((2,), {"start": "best"}, 'start is "best"'),
        ((2,), {"balance": -1.0}, "balance is"),
        ((2,), {"balance": float("nan")}, "balance is"),
        ((2,), {"sample": -1}, "sample is -1"),
        ((1 << 40,), {}, "k is"),
    ],
)
def test_wrong_options_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ak.KMeans(*arguments, **options)


def test_wrong_arrays_are_named(rng):
    x = rng.standard_normal((200, 4)).astype(np.float32)
    model = ak.KMeans(4)
    for call in (lambda: model.centroids_, lambda: model.objective_, lambda: model.predict(x)):
        with pytest.raises(ak.NotFittedError, match="not fitted"):
            call()
    model.fit(x)
    with pytest.raises(ValueError, match="dimension 5"):
        model.predict(np.zeros((2, 5), np.float32))
    bad = x.copy()
    bad[150, 2] = np.inf
    before = model.centroids_
    for call in (model.fit, model.predict):
        with pytest.raises(ValueError, match="row 150, column 2"):
            call(bad)
    np.testing.assert_array_equal(model.centroids_, before)
    with pytest.raises(TypeError):
        model.fit(np.zeros((10, 2), np.int64))
    assert len(model.predict(np.zeros((0, 4), np.float32))) == 0


def test_repr_is_the_constructor():
    model = ak.KMeans(7, rounds=3, start="k-means++", spherical=True, balance=0.25, sample=0, seed=9)
    text = 'KMeans(7, rounds=3, start="k-means++", spherical=True, balance=0.25, sample=0, seed=9)'
    assert repr(model) == text
    assert repr(eval(text, {"KMeans": ak.KMeans})) == text
    assert (model.k, model.rounds, model.start, model.spherical) == (7, 3, "k-means++", True)
    assert (model.balance, model.sample, model.seed) == (0.25, 0, 9)


def test_progress_rises_to_the_rounds_and_may_stop_the_fit(rng):
    x = rng.standard_normal((60000, 32)).astype(np.float32)
    seen = []
    ak.KMeans(200, rounds=4, sample=0).fit(x, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def stop(done, total):
        raise KeyError("enough")

    model = ak.KMeans(200, rounds=50, sample=0)
    with pytest.raises(KeyError):
        model.fit(x, progress=stop)
    with pytest.raises(ak.NotFittedError):
        model.predict(x)


def test_fits_and_predictions_of_one_model_at_once(rng):
    x = rng.standard_normal((3000, 16)).astype(np.float32)
    model = ak.KMeans(20).fit(x)
    want = model.predict(x)
    wrong = []

    def work(fits):
        for _ in range(10):
            if fits:
                model.fit(x, threads=1)
            elif not np.array_equal(model.predict(x, threads=1), want):
                wrong.append(1)

    workers = [threading.Thread(target=work, args=(i == 0,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


class Named(ak.KMeans):
    """A subclass that pickles find by its name."""


@pytest.mark.parametrize("kind", [ak.KMeans, Named])
@pytest.mark.parametrize("spherical", [False, True])
def test_copies_and_pickles_are_the_same(rng, kind, spherical):
    x = rng.standard_normal((400, 9)).astype(np.float32)
    options = {"rounds": 3, "start": "k-means++", "spherical": spherical, "balance": 0.5, "sample": 0, "seed": 2**63}
    model = kind(7, **options).fit(x)
    copies = [pickle.loads(pickle.dumps(model, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in [*copies, copy.copy(model), copy.deepcopy(model)]:
        assert type(other) is kind
        assert repr(other) == repr(model)
        assert other.centroids_.tobytes() == model.centroids_.tobytes()
        assert other.objective_.tobytes() == model.objective_.tobytes()
        np.testing.assert_array_equal(other.predict(x), model.predict(x))
    blank = copy.copy(kind(3))
    with pytest.raises(ak.NotFittedError):
        blank.predict(x)
    assert len(blank.fit(x).centroids_) == 3


def test_a_pickle_of_other_centroids_is_refused():
    model = ak.KMeans(2)
    for centroids, objective in (([[0.0, 1.0]], [1.0]), ([[0.0], [np.nan]], [1.0]), ([[0.0], [1.0]], 1.0)):
        with pytest.raises(ValueError, match=r"expected|NaN"):
            model._restore(centroids, objective)
    with pytest.raises(ak.NotFittedError):
        model.predict([[0.0]])


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_none_is_named(rng, seed):
    x = rng.standard_normal((300, 4)).astype(np.float32)
    for call in (
        lambda: ak.KMeans(4, seed=seed),
        lambda: ak.IVF(lists=4).fit(x, seed=seed),
        lambda: ak.PCA(2).fit(x, seed=seed),
        lambda: ak.RaBitQ().fit(x, seed=seed),
    ):
        with pytest.raises(ValueError, match=f"seed is {seed}, expected 0 to "):
            call()
    with pytest.raises(TypeError, match="seed is a float, expected an integer"):
        ak.KMeans(4, seed=0.5)


def test_copies_of_a_subclass_keep_what_it_is_and_has():
    class Named(ak.KMeans):
        def __init__(self, name):
            super().__init__(4)
            self.name = name

    x = np.random.default_rng(0).random((300, 5), dtype=np.float32)
    model = Named("four").fit(x)
    for made in (copy.copy(model), copy.deepcopy(model)):
        assert type(made) is Named
        assert made.name == "four"
        np.testing.assert_array_equal(made.predict(x), model.predict(x))
