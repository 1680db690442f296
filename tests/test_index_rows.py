"""Every index over rows that are unusual: equal, zero, huge, tiny, few."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from indexes import DIM, INDEXES, METRICS, Q, X, everything, full
from truth import assert_same

import annkit as ak

# Small data keeps these tests fast; the warning has tests of its own below.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
# One of each way in which an index can be put together.
SOME = [
    *("flat sq8", "flat pq4", "flat rabitq4", "ivf f32", "ivf sq8 residual", "ivf pq4", "ivf pq8 plain", "ivf rabitq1"),
    *("refine ivf pq4", "pca ivf sq8", "refine pca ivf", "hnsw f32", "hnsw sq8", "hnsw rabitq1", "refine hnsw sq8"),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", SOME)
def test_equal_rows_are_all_found(name, metric):
    x = np.concatenate([np.repeat(X[:1], 10_000, axis=0), X[1:200]])
    index = INDEXES[name](metric).fit(X).add(x)
    got = index.search(X[:1], k=10_050, **everything(name))
    assert (np.sort(got.ids[0]) == np.unique(got.ids[0])).all()
    assert np.isin(np.arange(10_000), got.ids[0]).sum() > 9_950 or metric == "ip"
    assert (index.search(X[:1], k=5).ids >= 0).all()
    equal = got.distances[0][got.ids[0] < 10_000]
    assert len(np.unique(equal)) <= 1
    found = got.ids[0][got.ids[0] < 10_000]
    assert (np.diff(found) > 0).all()  # ties by id


def test_batches_with_wide_tables_give_what_each_query_gives(rng):
    x = rng.standard_normal((2000, 32), np.float32)
    index = ak.IVF(lists=16, codec=ak.PQ(8, bits=10)).fit(x).add(x)  # tables of 40 KB: 102 queries at a time
    queries = rng.standard_normal((250, 32), np.float32)
    alone = [index.search(query, k=7, nprobe=5) for query in queries]
    for threads in (1, 2, 3):
        got = index.search(queries, k=7, nprobe=5, threads=threads)
        assert_same(got, [np.concatenate(part) for part in zip(*alone, strict=True)])


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("name", ["flat sq8", "ivf sq8 residual", "ivf pq4", "ivf f32"])
def test_of_rows_with_equal_scores_the_first_ids_are_found(rng, name, given):
    x = (X[:60] > 0).astype(np.float32)[rng.integers(0, 60, 900)]  # each row about 15 times
    ids = rng.permutation(900) if given else np.arange(900)
    index = INDEXES[name]("l2").fit(x).add(x, ids=ids)
    queries = x[:200] + np.float32(0.3) * Q[:1]
    few, all_of = (index.search(queries, k=k, **everything(name)) for k in (10, 900))
    order = np.lexsort((all_of.ids, all_of.distances), axis=1)
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(900), order.shape))
    np.testing.assert_array_equal(few.ids, all_of.ids[:, :10])
    assert (few.distances[:, 1:] == few.distances[:, :-1]).mean() > 0.5


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", INDEXES)
def test_rows_that_leave_nothing_to_learn(name, metric):
    """Equal rows, constant columns, zeros."""
    constant = X.copy()
    constant[:, 3:] = 2.5
    cases = {
        "equal": np.repeat(X[:1], 600, axis=0),
        "constant": constant[:600],
        "zero": np.zeros((600, DIM), np.float32),
    }
    for what, x in cases.items():
        if "pca" in name and what != "constant":
            continue
        index = INDEXES[name](metric).fit(x).add(x)
        got = index.search(x[:30], k=5, **everything(name))
        assert (got.ids >= 0).all()
        assert np.isfinite(got.distances).all()
        if metric == "l2" and what != "constant" and "normalize" not in name:
            assert (abs(got.distances) <= 1e-5).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", INDEXES)
@pytest.mark.parametrize("scale", [2e16, 1e-17])
def test_huge_and_tiny_rows(name, metric, scale):
    # Cosine's unit rows fit float16, but Raw keeps rows as they are in Flat, which Refine holds.
    if scale > 1 and ((name in ("ivf f16", "hnsw f16") and metric != "cosine") or name == "refine ivf rabitq1"):
        with pytest.raises(ValueError, match="beyond the largest float16"):
            INDEXES[name](metric).fit(X * scale).add(X * np.float32(scale))
        return
    x, q = X * np.float32(scale), Q * np.float32(scale)
    index = INDEXES[name](metric).fit(x).add(x)
    whole = index.search(q, k=5)
    assert (whole.ids >= 0).all()
    assert np.isfinite(whole.distances).all()
    assert_same(index.search(q[:1], k=5), [part[:1] for part in whole])
    plain = INDEXES[name](metric).fit(X).add(X).search(Q, k=5)
    if scale > 1 and "rabitq" not in name:
        same = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(whole.ids, plain.ids, strict=True)])
        assert same > 0.7


@pytest.mark.parametrize("metric", ["l2", "euclidean"])
@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("codec", [ak.SQ(8), ak.PQ(8, bits=6), ak.PQ(8, bits=4), ak.RaBitQ(1), ak.RaBitQ(4)], ids=repr)
def test_residual_codes_of_rows_far_from_the_origin_lose_nothing(rng, codec, coarse, metric):
    far = np.float32(4096)  # times as far as rows lie apart
    x, queries = (rng.standard_normal((n, 16)).astype(np.float32) + far for n in (4000, 100))
    exact = ak.Flat().add(x - far).search(queries - far, 10).ids

    def made(x, queries):
        graph = ak.HNSW(degree=8, metric=metric) if coarse else None
        index = ak.IVF(lists=8, codec=codec, residual=True, coarse=graph, metric=metric).fit(x).add(x)
        ids = index.search(queries, 10, nprobe=4).ids
        return index, np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, ids, strict=True)])

    index, recall = made(x, queries)
    near, wanted = made(x - far, queries - far)
    assert recall > wanted - 0.03
    rows, of_near = index.reconstruct(range(4000)), near.reconstruct(range(4000)) + far
    assert abs(rows - x).mean() < 1.1 * abs(of_near - x).mean() + 1e-3
    again = ak.Index.from_bytes(index.to_bytes())
    assert_same(again.search(queries, 10, nprobe=4), index.search(queries, 10, nprobe=4))
    assert_same(index.search(queries[:1], 10), [part[:1] for part in index.search(queries, 10)])
    assert again.to_bytes() == index.to_bytes()
    index.remove(index.ids)
    index.compact()
    index.fit(x - far).add(x - far, ids=range(4000))  # which lie near
    assert_same(index.search(queries - far, 10, nprobe=4), near.search(queries - far, 10, nprobe=4))


def test_zero_rows_have_a_cosine_distance_of_one():
    x = X[:600].copy()
    x[::7] = 0
    for name in INDEXES:
        if "pca" in name or "center" in name:
            continue
        index = INDEXES[name]("cosine").fit(x).add(x)
        near = 1e-6 if name.split()[-1] in ("f32", "f16") else 1 if "rabitq1" in name else 0.3
        got, ids = index.search(Q, k=600, **everything(name))
        assert ((got >= 0) & (got <= 2)).all(), name
        assert (abs(got[ids % 7 == 0] - 1) <= near).all(), name
        got = index.search(np.zeros((2, DIM), np.float32), k=600, **everything(name)).distances
        assert (got == 1).all() or "rabitq" in name, name  # which estimates


def test_too_few_rows_to_learn_from_are_an_error_with_both_numbers():
    cases = [
        (ak.IVF(lists=50), 49, r"50 lists.*49"),
        (ak.Flat(codec=ak.PQ(4)), 255, r"256 centroids.*255 rows"),
        (ak.Flat(codec=ak.PQ(4, bits=4)), 15, r"16 centroids.*15 rows"),
        (ak.IVF(lists=4, codec=ak.PQ(4)), 200, r"256 centroids.*200 rows"),
    ]
    for index, n, message in cases:
        with pytest.raises(ValueError, match=message):
            index.fit(X[:n])
        assert not index.is_fitted
    for index in (ak.Flat(codec=ak.PQ(5)), ak.IVF(lists=4, codec=ak.PQ(5, bits=4))):
        with pytest.raises(ValueError, match=r"m = 5.*dimension 16"):
            index.fit(X)


def test_few_rows_to_learn_from_are_a_warning_with_both_numbers(rng):
    x = rng.standard_normal((10_000, 8)).astype(np.float32)
    lists = ak.IVF(lists=100)
    books = ak.Flat(codec=ak.PQ(2))
    cases = [
        (lists, 3899, r"got 3899 rows to train 100 centroids, expected at least 3900 \(39 a centroid\)"),
        (books, 9983, r"got 9983 rows to train 256 centroids a group of PQ, expected at least 9984"),
        (ak.IVF(lists=4, codec=ak.PQ(2)), 300, r"got 300 rows to train 256 centroids a group of PQ"),
        (ak.Refine(ak.IVF(lists=100), codec=ak.SQ(8)), 200, r"got 200 rows to train 100 centroids"),
        (ak.Pipeline(ak.PCA(4), ak.IVF(lists=100)), 200, r"got 200 rows to train 100 centroids"),
        (ak.PQ(2), 300, r"got 300 rows to train 256 centroids a group of PQ"),
    ]
    for part, n, message in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match=message):
                part.fit(x[:n])
        assert not part.is_fitted  # a warning that is an error changes nothing
        with pytest.warns(UserWarning, match=message):
            part.fit(x[:n])
        assert part.is_fitted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lists.fit(x[:3900])
        books.fit(x[:9984])


@pytest.mark.parametrize("name", SOME)
def test_large_batches_are_shared_by_threads_to_the_same_result(name):
    index, many = full(name), np.tile(Q, (12, 1))  # 720 queries: enough for threads to share them
    one = [part[: len(Q)] for part in index.search(many, k=5, threads=1)]
    for threads in (2, 3):
        got = index.search(many, k=5, threads=threads)
        for first in range(0, len(many), len(Q)):
            assert_same([part[first : first + len(Q)] for part in got], one)
    bad = many.copy()
    bad[700, 3] = np.nan
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"row 700, column 3"):
            index.search(bad, k=5, threads=threads)


def test_rows_near_the_origin_keep_their_digits_beside_many_far_away(rng):
    x, far = rng.standard_normal((4000, 16)).astype(np.float32), np.arange(4000) % 5 > 0
    x[far] = 1e4
    queries = rng.standard_normal((100, 16)).astype(np.float32)
    exact = ak.Flat().add(x).search(queries, 10).ids
    index = ak.IVF(lists=8, codec=ak.SQ(8), residual=True).fit(x).add(x)
    found = index.search(queries, 10, nprobe=8).ids
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)]) > 0.95
