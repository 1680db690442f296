"""SignBits: codes against NumPy, and every index over them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from same import assert_same_in_batches, assert_same_when_stored

import annkit as ak

N, DIM = 900, 20
RNG = np.random.default_rng(3)
X, Q = (RNG.standard_normal((n, DIM)).astype(np.float32).round(1) + RNG.random(DIM, np.float32) for n in (N, 40))
X[N // 2] = X[0]
IDS = RNG.permutation(3 * N)[:N]

INDEXES = {
    "flat zero": lambda: ak.Flat(codec=ak.SignBits(), metric="hamming"),
    "flat median": lambda: ak.Flat(codec=ak.SignBits("median"), metric="hamming"),
    "itq flat": lambda: ak.Pipeline(ak.ITQ(13), ak.Flat(codec=ak.SignBits(), metric="hamming")),
    "hyperplanes": lambda: ak.Pipeline(ak.Center(), ak.Projection(70), ak.Flat(codec=ak.SignBits(), metric="hamming")),
    "hnsw": lambda: ak.HNSW(degree=16, codec=ak.SignBits(), metric="hamming"),
    "spectral hnsw": lambda: ak.Pipeline(
        ak.Spectral(24), ak.HNSW(degree=16, codec=ak.SignBits("median"), metric="hamming")
    ),
}
every = pytest.mark.parametrize("name", INDEXES)


def fitted(name):
    return INDEXES[name]().fit(X)


def full(name):
    return fitted(name).add(X, ids=IDS)


def everything(name):
    return {"ef": 20 * N} if "hnsw" in name else {}


def distances_of(index, q, x):
    """Return Hamming distances by NumPy, from the floats that the signs are taken of."""
    for transform in getattr(index, "transforms", ()):
        q, x = transform.apply(q), transform.apply(x)
    threshold = np.median(x, axis=0) if index.codec.threshold == "median" else 0
    return ((q > threshold)[:, None] != (x > threshold)[None]).sum(axis=2)


@every
def test_searches_give_what_numpy_finds(name):
    index = full(name)
    table = distances_of(index, Q, X)
    order = np.argsort(IDS, kind="stable")
    near = order[np.argsort(table[:, order], axis=1, kind="stable")]
    for k in (1, 10, 100):
        found = index.search(Q, k=k, **everything(name))
        assert found.distances.dtype == np.int32
        np.testing.assert_array_equal(found.distances, np.take_along_axis(table, near[:, :k], axis=1))
        np.testing.assert_array_equal(found.ids, IDS[near[:, :k]])
    radius = int(np.median(table[:, 0]))
    lims, distances, ids = index.range_search(Q, radius, **everything(name))
    for i in range(len(Q)):
        part = slice(lims[i], lims[i + 1])
        within = near[i][table[i, near[i]] <= radius]
        np.testing.assert_array_equal(ids[part], IDS[within])
        np.testing.assert_array_equal(distances[part], table[i, within])


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
    all_rows = index.search(Q, k=N, **everything(name))
    got = index.search(Q, k=9, filter=mask, **everything(name))
    for i in range(len(Q)):
        at = np.flatnonzero(mask[all_rows.ids[i]])[:9]
        np.testing.assert_array_equal(got.ids[i], all_rows.ids[i, at])
    index.remove(IDS[3:])
    got = index.search(Q, k=5, **everything(name))
    assert set(got.ids[0]) == {*IDS[:3], -1}
    assert (got.distances[:, 3:] == np.iinfo(np.int32).max).all()


@every
def test_every_way_of_storing_answers_the_same(tmp_path, name):
    assert_same_when_stored(full(name).remove(IDS[:50]), Q, tmp_path / "index.ak")


@every
def test_a_bad_row_changes_nothing(name):
    index = full(name)
    data = index.to_bytes()
    bad = X[:5].copy()
    bad[3, 2] = np.nan
    for call in (index.add, index.search):
        with pytest.raises(ValueError, match="row 3, column 2"):
            call(bad)
    assert index.to_bytes() == data
    if not INDEXES[name]().is_fitted:
        with pytest.raises(ak.NotFittedError):
            INDEXES[name]().add(X)


@settings(deadline=None)
@given(
    n=st.integers(0, 40),
    dim=st.integers(1, 70),
    threshold=st.sampled_from(["zero", "median"]),
    dtype=st.sampled_from([np.float32, np.float64, np.float16, np.int8]),
    seed=st.integers(0, 2**32),
)
def test_codes_are_those_of_numpy_and_decode_to_both_sides(n, dim, threshold, dtype, seed):
    x = np.random.default_rng(seed).integers(-3, 4, (n, 2 * dim)).astype(dtype)[:, ::2]
    learned = np.concatenate([x, np.ones((1, dim), dtype)])
    codec = ak.SignBits(threshold).fit(learned)
    middle = np.median(learned, axis=0).astype(np.float32) if threshold == "median" else np.zeros(dim, np.float32)
    codes = codec.encode(x)
    np.testing.assert_array_equal(codes, np.packbits(x > middle, axis=1, bitorder="little"))
    back = codec.decode(codes)
    np.testing.assert_array_equal(back[:, :dim], middle + np.where(x > middle, 1, -1))
    assert back.shape == (n, dim if threshold == "median" else (dim + 7) // 8 * 8)
    again = pickle.loads(pickle.dumps(codec))
    np.testing.assert_array_equal(again.encode(x), codes)


def test_reconstruct_gives_plus_and_minus_one_of_the_dimension():
    index = full("flat zero")
    np.testing.assert_array_equal(index.reconstruct(IDS), np.where(X > 0, 1, -1))


def test_medians_split_rows_in_half(rng):
    x = rng.standard_exponential((40_001, 5)).astype(np.float32)
    codec = ak.SignBits("median").fit(x, seed=2)
    assert (abs((x > codec.medians_).mean(axis=0) - 0.5) < 0.02).all()
    np.testing.assert_array_equal(codec.medians_, ak.SignBits("median").fit(x, seed=2, threads=3).medians_)
    constant = ak.SignBits("median").fit(np.full((10, 4), 3.0))
    assert constant.encode(np.full((1, 4), 3.0)).tolist() == [[0]]


def test_rows_may_pass_transforms_before_they_are_coded(rng):
    x = rng.standard_normal((1500, DIM)).astype(np.float32)
    parts = [ak.Center().fit(x), ak.Projection(33).fit(x)]
    codes = ak.SignBits().encode(x, through=parts)
    np.testing.assert_array_equal(codes, ak.SignBits().encode(parts[1].apply(parts[0].apply(x))))
    np.testing.assert_array_equal(codes, ak.SignBits().encode(x, through=tuple(parts), threads=3))
    pq = ak.PQ(4, bits=4).fit(ak.PCA(8).fit(x).apply(x))
    pca = ak.PCA(8).fit(x)
    np.testing.assert_array_equal(pq.encode(x, through=pca), pq.encode(pca.apply(x)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ak.SignBits("mean"), ValueError, r'threshold is "mean", expected "zero" or "median"'),
        (lambda: ak.SignBits("median").encode(X), ValueError, "has not been fitted"),
        (lambda: ak.SignBits("median").medians_, ValueError, "no medians"),
        (lambda: ak.SignBits("median").fit(X).encode(X[:, :9]), ValueError, "dimension 9.*fitted to 20"),
        (lambda: ak.SignBits("median").fit(X[:0]), ValueError, "got 0 rows"),
        (lambda: ak.Flat(codec=ak.SignBits()), ValueError, r"l2.*SignBits\(\)"),
        (lambda: ak.Flat(metric="hamming"), ValueError, r"expected Bits\(\) or SignBits\(\)"),
        (lambda: ak.SignBits().encode(X, through=ak.PCA(3)), ValueError, r"PCA\(3\) is not fitted"),
        (lambda: ak.SignBits().encode(X[:, :9], through=ak.PCA(3).fit(X)), ValueError, "dimension 9, expected 20"),
        (lambda: ak.SignBits().encode(X, through=3), TypeError, "through is 3"),
        (lambda: ak.SignBits().encode(X, through=[3]), TypeError, "through holds 3"),
        (lambda: ak.Bits().encode(X, through=ak.PCA(3).fit(X)), TypeError, "float32"),
        (lambda: ak.Refine(ak.Flat()).codec, ValueError, "several codecs"),
    ],
)
def test_errors_name_what_was_seen(call, error, message):
    with pytest.raises(error, match=message):
        call()
