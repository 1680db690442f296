"""SignBits(asymmetric=True): float queries against stored bits, by NumPy from the bits themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from same import assert_same_in_batches, assert_same_when_stored
from truth import assert_same, distances

import annkit as ak

N, DIM = 900, 20
RNG = np.random.default_rng(4)
X, Q = (RNG.standard_normal((n, DIM)).astype(np.float32) + RNG.random(DIM, np.float32) for n in (N, 40))
X[N // 2] = X[0]
IDS = RNG.permutation(3 * N)[:N]


def signs(threshold="zero"):
    return ak.SignBits(threshold, asymmetric=True)


INDEXES = {
    "flat ip": lambda: ak.Flat(codec=signs(), metric="ip"),
    "flat l2": lambda: ak.Flat(codec=signs(), metric="l2"),
    "flat median ip": lambda: ak.Flat(codec=signs("median"), metric="ip"),
    "flat median euclidean": lambda: ak.Flat(codec=signs("median"), metric="euclidean"),
    "ivf l2": lambda: ak.IVF(lists=12, codec=signs(), metric="l2"),
    "ivf median ip": lambda: ak.IVF(lists=12, codec=signs("median"), metric="ip"),
    "hnsw l2": lambda: ak.HNSW(degree=16, codec=signs(), metric="l2"),
    "hnsw median ip": lambda: ak.HNSW(degree=16, codec=signs("median"), metric="ip"),
    "itq flat": lambda: ak.hash.ITQ(13).index(asymmetric=True),
    "hyperplanes flat": lambda: ak.hash.LSH(70).index(asymmetric=True),
    "pca flat": lambda: ak.hash.PCAHash(16).index(asymmetric=True),
    "spectral hnsw": lambda: ak.Pipeline(ak.Spectral(24), ak.HNSW(degree=16, codec=signs(), metric="ip")),
}
every = pytest.mark.parametrize("name", INDEXES)


def full(name):
    return INDEXES[name]().fit(X).add(X, ids=IDS)


def everything(name):
    return {"ef": 20 * N} if "hnsw" in name else {"nprobe": 12} if "ivf" in name else {}


def table_of(index, q, x):
    """Return each query's distance from each row's thresholds plus or minus 1, in float64."""
    for transform in getattr(index, "transforms", ()):
        q, x = transform.apply(q), transform.apply(x)
    threshold = index.codec.medians_ if index.codec.threshold == "median" else np.zeros(x.shape[1])
    return distances(q, threshold + np.where(x > threshold, 1, -1), index.metric)


def assert_nearest(found, table, ids, metric):
    """Compare distances with the best of a table, and each id's own with what is said of it."""
    k = found.ids.shape[1]
    best = np.sort(-table if metric == "ip" else table, axis=1)[:, :k]
    np.testing.assert_allclose(found.distances, -best if metric == "ip" else best, rtol=1e-5, atol=1e-4)
    at = np.argsort(ids)[np.searchsorted(np.sort(ids), found.ids)]
    np.testing.assert_allclose(found.distances, np.take_along_axis(table, at, axis=1), rtol=1e-5, atol=1e-4)
    assert all(len(set(row)) == k for row in found.ids.tolist())


@every
def test_searches_give_what_numpy_finds(name):
    index = full(name)
    table = table_of(index, Q, X)
    for k in (1, 10, 100):
        assert_nearest(index.search(Q, k=k, **everything(name)), table, IDS, index.metric)
    radius = float(np.median(table[:, 0])) + 1e-3
    lims, _, ids = index.range_search(Q, radius, **everything(name))
    within = table >= radius if index.metric == "ip" else table <= radius
    unsure = abs(table - radius) < 1e-3
    for i in range(len(Q)):
        assert set(IDS[within[i] & ~unsure[i]]) <= set(ids[lims[i] : lims[i + 1]]) <= set(IDS[within[i] | unsure[i]])


@every
def test_results_do_not_depend_on_batch_or_threads(name):
    index = full(name)
    assert_same_in_batches(index, Q, **everything(name))
    assert INDEXES[name]().fit(X, threads=3).add(X, ids=IDS, threads=2).to_bytes() == index.to_bytes()


@every
def test_filters_removal_and_too_few_rows(name):
    index = full(name)
    mask = np.zeros(3 * N, bool)
    mask[IDS[::7]] = True
    table = table_of(index, Q, X)[:, ::7]
    assert_nearest(index.search(Q, k=9, filter=mask, **everything(name)), table, IDS[::7], index.metric)
    index.remove(IDS[3:])
    got = index.search(Q, k=5, **everything(name))
    assert set(got.ids[0]) == {*IDS[:3], -1}
    assert np.isinf(got.distances[:, 3:]).all()


@every
def test_every_way_of_storing_answers_the_same(tmp_path, name):
    assert_same_when_stored(full(name).remove(IDS[:50]), Q, tmp_path / "index.ak")


@settings(deadline=None)
@given(
    n=st.integers(1, 300),
    dim=st.integers(1, 90),
    threshold=st.sampled_from(["zero", "median"]),
    metric=st.sampled_from(["l2", "ip"]),
    scale=st.sampled_from([0, 1e-20, 1, 1e15]),
    seed=st.integers(0, 2**32),
)
def test_any_dimension_scores_as_decoded(n, dim, threshold, metric, scale, seed):
    rng = np.random.default_rng(seed)
    x, q = (rng.standard_normal((m, dim)).astype(np.float32) for m in (n, 5))
    index = ak.Flat(codec=signs(threshold), metric=metric).fit(x).add(x)
    decoded = index.reconstruct(np.arange(n))
    np.testing.assert_array_equal(
        decoded, ak.Flat(codec=ak.SignBits(threshold), metric="hamming").fit(x).add(x).reconstruct(np.arange(n))
    )
    table = distances(q * np.float32(scale), decoded, metric)
    k = min(n, 4)
    got = index.search(q * np.float32(scale), k=k)
    best = np.sort(-table if metric == "ip" else table, axis=1)[:, :k]
    most = 1 + abs(table).max()
    # A threshold and the sign beside it may nearly cancel: rounding is that of the two.
    parts = scale * abs(q).sum(axis=1).max() * (2 + abs(decoded).max())
    np.testing.assert_allclose(
        got.distances, -best if metric == "ip" else best, rtol=1e-5, atol=1e-5 * most + 5e-7 * parts
    )


def test_codes_are_those_of_the_symmetric_codec():
    codec = signs("median").fit(X)
    codes = codec.encode(X)
    np.testing.assert_array_equal(codes, ak.SignBits("median").fit(X).encode(X))
    np.testing.assert_array_equal(codec.decode(codes[:9]), ak.SignBits("median").fit(X).decode(codes[:9]))
    again = pickle.loads(pickle.dumps(codec))
    assert repr(again) == repr(codec) == 'SignBits(threshold="median", asymmetric=True)'
    np.testing.assert_array_equal(again.encode(X), codes)


def test_a_score_is_the_query_added_where_the_bit_is_set_and_subtracted_elsewhere():
    index = ak.Flat(codec=signs(), metric="ip").add(np.array([[1, -1, -1], [-2, 3, 1]], np.float32))
    found = index.search(np.array([0.5, 1, 4], np.float32), k=2)
    np.testing.assert_array_equal(found.ids, [[1, 0]])
    np.testing.assert_array_equal(found.distances, [[-0.5 + 1 + 4, 0.5 - 1 - 4]])


def test_float_queries_find_more_by_the_same_bits():
    rng = np.random.default_rng(8)
    x = (rng.standard_normal((6000, 40)) @ rng.standard_normal((40, 64))).astype(np.float32)
    base, queries = x[:5800], x[5800:]
    truth = ak.Flat().add(base).search(queries, k=10).ids

    def recall(index):
        found = index.fit(base).add(base).search(queries, k=50).ids
        return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)])

    for made in (ak.hash.ITQ(32), ak.hash.LSH(64, seed=1)):
        assert recall(made.index(asymmetric=True)) > recall(made.index()) + 0.05


def test_refinement_by_the_rows_takes_what_they_find():
    index = ak.index("ITQ16,LSHa,RFlat").fit(X).add(X)
    exact = ak.Flat().add(X).search(Q, k=10)
    assert_same(index.search(Q, k=10, k_factor=N / 10), exact)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ak.Flat(codec=signs(), metric="hamming"), r"expected Bits\(\) or SignBits\(\)"),
        (
            lambda: ak.HNSW(codec=signs(), metric="cosine"),
            r'asymmetric=True\), expected metric "l2", "euclidean" or "ip"',
        ),
        (lambda: ak.Flat(codec=ak.SignBits(), metric="ip"), r'expected metric "hamming"'),
        (lambda: ak.IVF(lists=4, codec=signs(), metric="hamming"), "hamming"),
        (lambda: ak.MultiIndexHash(codec=signs()), r"expected Bits\(\) or SignBits\(\)"),
        (lambda: ak.index("LSHa", metric="hamming"), 'factory string "LSHa".*hamming'),
        (lambda: ak.index("LSH", metric="ip"), '"l2" and "ip" with LSHa'),
        (lambda: ak.Flat(codec=signs("median"), metric="ip").add(X), "has not been fitted"),
        (lambda: ak.Flat(codec=signs(), metric="ip").add(X).search(np.full(DIM, np.nan)), "row 0, column 0"),
    ],
)
def test_errors_name_what_was_seen(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("spec", ["LSHa", "LSHta", "LSHrta", "ITQ16,LSHa", "HNSW8,LSHta", "RR16,IVF16,LSHa"])
def test_factory_strings_lead_back(spec, metric):
    made = ak.index(spec, metric=metric)
    again = ak.index(made.factory, metric=metric)
    assert "asymmetric=True" in repr(made)
    assert (repr(again), again.factory, again.metric) == (repr(made), made.factory, metric)
