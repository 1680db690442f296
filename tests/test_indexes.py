"""What every index answers, over many constructions: searches, ranges, filters, settings."""

from __future__ import annotations

import numpy as np
import pytest
from indexes import (
    CODECS,
    FLATS,
    IDS,
    INDEXES,
    IVFS,
    LISTS,
    LSHS,
    METRICS,
    REFINES,
    TRANSFORMS,
    N,
    Q,
    X,
    assert_almost_same,
    each,
    everything,
    fitted,
    flat,
    full,
    hnsw,
    ivf,
    refine,
)
from truth import assert_nearest, assert_same, distances, tolerance_of

import annkit as ak

# Small data keeps these tests fast; the warning has tests of its own in test_index_rows.py.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", INDEXES)
def test_results_do_not_depend_on_batch_or_threads(name, metric):
    index = full(name, metric)
    for settings in ({}, everything(name)):
        whole = index.search(Q, k=10, threads=1, **settings)
        for threads in (2, 3):
            assert_same(index.search(Q, k=10, threads=threads, **settings), whole)
        for size in (1, 3, 17):
            for first in range(0, 20, size):
                part = slice(first, first + size)
                got = index.search(Q[part], k=10, threads=1 + first % 2, **settings)
                assert_same(got, [one[part] for one in whole])
        radius = float(np.median(whole.distances[:, 5]))
        lims, *found = index.range_search(Q, radius, threads=1, **settings)
        assert_same(index.range_search(Q, radius, threads=3, **settings), [lims, *found])
        for i in (0, 7):
            assert_same(index.range_search(Q[i], radius, **settings)[1:], each(found, lims)[i])


def table_of(name, rows, metric):
    """Return distances of the queries and the rows as the index says that it keeps them."""
    if metric != "cosine" or name in ("refine flat pq4", "refine hnsw sq8", "refine ivf rabitq1"):
        return distances(Q, rows, metric)
    unit = Q / np.linalg.norm(Q, axis=1, keepdims=True)
    return np.clip(1 - distances(unit, rows, "ip"), 0, 2)  # of rows that had length 1 before they were coded


# Those whose distances are those of the rows that reconstruct gives: not RaBitQ, which estimates.
NUMPY = [name for name in [*FLATS, *IVFS, *LSHS, *REFINES, "rotation flat sq4", "opq ivf pq4"] if "rabitq" not in name]
NUMPY += ["refine ivf rabitq1"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", NUMPY)
def test_all_lists_give_what_numpy_finds_among_the_kept_rows(name, metric):
    index = full(name, metric)
    rows = index.reconstruct(IDS)
    table, tolerance = table_of(name, rows, metric), 4 * tolerance_of(Q, rows, metric)
    for k in (1, 10, 100):
        # Distances below 0 are raised to it, and roots of numbers that differ may not: rows in order may look equal.
        ties = metric not in ("cosine", "euclidean")
        assert_nearest(index.search(Q, k=k, **everything(name)), table, IDS, metric, tolerance, ties=ties)
        assert_nearest(index.search(Q[3], k=k, **everything(name)), table[3:4], IDS, metric, tolerance, ties=ties)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("codec", ["rabitq1", "rabitq4"])
@pytest.mark.parametrize("way", ["flat", "ivf", "plain"])
def test_rabitq_estimates_the_distances(way, codec, metric):
    name = {"flat": f"flat {codec}", "ivf": f"ivf {codec}", "plain": f"ivf {codec} plain"}[way]
    table = distances(Q, X, metric)
    got, ids = full(name, metric).search(Q, k=N, **everything(name))
    column = np.empty(3 * N, np.int64)
    column[IDS] = np.arange(N)
    exact = np.take_along_axis(table, column[ids], axis=1)
    assert (np.sort(ids, axis=1) == np.sort(IDS)).all()
    assert np.corrcoef(got.ravel(), exact.ravel())[0, 1] > (0.84 if codec == "rabitq1" else 0.995)
    assert abs((got - exact).mean()) < 0.05 * table.std()


@pytest.mark.parametrize("metric", ["l2", "euclidean", "ip", "cosine"])
@pytest.mark.parametrize("name", INDEXES)
def test_range_search_gives_what_search_gives_within_the_radius(name, metric):
    index = full(name, metric)
    settings = everything(name)
    got, ids = index.search(Q[:9], k=N, **settings)
    for radius in (float(got[0, 7]), float(np.median(got)), float(np.float32(got[:, 0].mean()))):
        lims, *found = index.range_search(Q[:9], radius, **settings)
        for i, part in enumerate(each(found, lims)):
            within = got[i] >= np.float32(radius) if metric == "ip" else got[i] <= np.float32(radius)
            if "refine" in name or "rabitq4" in name:  # a coarser estimate chooses
                assert len(part[1]) >= 0.9 * within.sum() or "refine" in name
                assert np.isin(part[1], ids[i][within]).all()
                assert np.isin(part[0], got[i][within]).all()
            else:
                assert_same(part, (got[i][within], ids[i][within]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["flat sq8", "flat pq4", "ivf f32", "ivf graph sq8", "hnsw f32", "lsh hyperplane"])
def test_every_distance_that_search_gives_is_a_radius_that_includes_it(name, metric):
    index, settings = full(name, metric), everything(name)
    got, ids = index.search(Q[:1], k=N, **settings)
    for radius in got[0, ::11]:
        within = got[0] >= radius if metric == "ip" else got[0] <= radius
        assert_same(index.range_search(Q[:1], radius, **settings)[1:], (got[0][within], ids[0][within]))


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("name", INDEXES)
def test_filters_leave_only_what_they_name(rng, name, metric):
    index, settings = full(name, metric), everything(name)
    masks = rng.random((len(Q), 3 * N)) < rng.choice([0, 0.002, 0.1, 0.9], (len(Q), 1))
    shares = [masks[-1] | (np.arange(3 * N) % 7 == 0), np.arange(3 * N) == IDS[5], np.zeros(3 * N, bool)]
    got, ids = index.search(Q, k=N, **settings)  # all rows in their order
    # Which rows RaBitQ's first bit dismisses depends on how near the k-th one is: see the bound in its documentation.
    same = assert_almost_same if "rabitq4" in name else assert_same

    def expected(masks, k):
        out = np.full((len(Q), k), -np.inf if metric == "ip" else np.inf, np.float32), np.full((len(Q), k), -1)
        for i, mask in enumerate(masks):
            at = np.flatnonzero(mask[ids[i]])[:k]
            out[0][i, : len(at)], out[1][i, : len(at)] = got[i, at], ids[i, at]
        return out

    for one in shares:
        wanted = expected([one] * len(Q), 9)
        for form in (one, np.flatnonzero(one), np.flatnonzero(one).tolist()):
            same(index.search(Q, k=9, filter=form, **settings), wanted)
        same(index.search(Q[4], k=9, filter=one, **settings), [part[4:5] for part in wanted])
    mixed = [mask if i % 2 else np.flatnonzero(mask) for i, mask in enumerate(masks)]
    same(index.search(Q, k=9, filter=mixed, threads=3, **settings), expected(masks, 9))
    radius = float(np.median(got[:, N // 8]))
    lims, *found = index.range_search(Q, radius, filter=mixed, **settings)
    whole_lims, *whole = index.range_search(Q, radius, **settings)
    for mask, part, plain in zip(masks, each(found, lims), each(whole, whole_lims), strict=True):
        if "rabitq4" in name:
            assert mask[part[1]].all()
            assert len(np.setxor1d(part[1], plain[1][mask[plain[1]]])) <= 3
        else:
            assert_same(part, [one[mask[plain[1]]] for one in plain])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", INDEXES)
def test_too_few_rows_are_padded(name, metric):
    pad = -np.inf if metric == "ip" else np.inf
    index = fitted(name, metric)
    for n in (0, 3):
        if n:
            index.add(X[:3])
        for q in (Q[:1], Q):
            got = index.search(q, k=7, **everything(name))
            assert got.distances.shape == got.ids.shape == (len(q), 7)
            assert (got.ids[:, n:] == -1).all()
            assert (got.distances[:, n:] == pad).all()
            assert (np.sort(got.ids[:, :n]) == np.arange(n)).all()
    assert index.search(Q[:0], k=2).ids.shape == (0, 2)
    assert len(index.range_search(Q[:0], 2.0).lims) == 1
    assert len(index.add(X[:0])) == 3


@pytest.mark.parametrize("name", INDEXES)
def test_settings_are_those_that_the_index_knows(name):
    index, known = full(name), set()
    if "ivf" in name:
        known |= {"nprobe", "spread"}
        assert_same(index.search(Q, nprobe=10**6), index.search(Q, nprobe=LISTS))
        assert_same(index.search(Q, nprobe=LISTS, spread=1e9), index.search(Q, nprobe=LISTS))
        if "refine" not in name:
            near = index.search(Q, k=N, nprobe=LISTS, spread=1)
            assert_same(near, index.search(Q, k=N, nprobe=1))
    if "hnsw" in name or "ivf graph" in name:
        known.add("ef")
    if "hnsw" in name:
        known.add("gamma")
    if "lsh" in name:
        known |= {"probes"} if name == "lsh p-stable" else {"probes", "candidates"}
    if "refine" in name:
        known.add("k_factor")
    for setting in ("nprobe", "spread", "k_factor", "ef", "gamma", "probes", "candidates", "threads_", ""):
        if setting in known:
            too_small = -0.1 if setting == "gamma" else 0
            for value, error in ((too_small, ValueError), (-1, ValueError), (np.nan, ValueError), ("3", TypeError)):
                with pytest.raises((error, TypeError)):
                    index.search(Q, **{setting: value})
            continue
        with pytest.raises(TypeError, match=rf'unexpected setting "{setting}"'):
            index.search(Q, **{setting: 2})
        with pytest.raises(TypeError, match=rf'unexpected setting "{setting}"'):
            index.range_search(Q, 1.0, **{setting: 2})


@pytest.mark.parametrize("metric", METRICS)
def test_reconstruct_gives_rows_as_they_were_given_or_of_length_one(metric):
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    cosine = unit if metric == "cosine" else X
    for index in (flat("f32"), refine(ivf("pq4"), "f32"), refine(flat("sq8"), "f32")):
        made = index(metric).fit(X).add(X, ids=IDS)
        np.testing.assert_array_equal(made.reconstruct(IDS), X)
    for index, off in ((ivf("f32"), 1e-6), (ivf("f16"), 1e-3), (flat("sq8"), 0.01), (ivf("sq8", residual=True), 0.01)):
        got = index(metric).fit(X).add(X, ids=IDS).reconstruct(IDS)
        np.testing.assert_allclose(got, cosine, atol=off * abs(cosine).max())


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("codec", CODECS)
def test_more_lists_find_no_less(codec, metric):
    index = full(f"ivf {codec}", metric)
    before = np.full((len(Q), 10), np.inf, np.float32)
    for nprobe in (1, 2, 5, LISTS):
        got = index.search(Q, k=10, nprobe=nprobe).distances
        assert (got <= before).all()
        before = got


@pytest.mark.parametrize("codec", ["f32", "f16", "sq8", "sq4", "pq4", "pq8", "rabitq1"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [flat, hnsw])
def test_a_batch_with_one_filter_finds_what_each_query_does(kind, codec, metric):
    index = kind(codec)(metric).fit(X).add(X, ids=IDS)
    for share in (0.02, 0.3):
        allowed = np.sort(np.random.default_rng(3).choice(IDS, int(share * N), replace=False))
        every = {"ef": N} if kind is hnsw else {}
        got = index.search(Q, k=7, filter=allowed, **every)
        for i in range(0, len(Q), 7):
            one = index.search(Q[i], k=7, filter=allowed, **every)
            assert_same([part[i : i + 1] for part in got], one)


def test_scores_of_rabitq_in_a_graph_do_not_depend_on_the_batch(rng):
    x = (rng.standard_normal((1500, 64)) + rng.choice([0, 5], (1500, 1))).astype(np.float32)
    index = ak.HNSW(codec=ak.RaBitQ(3), metric="cosine").fit(x).add(x)
    q, allowed = x[:40] + np.float32(0.3), np.arange(700)
    got = index.search(q, k=700, filter=allowed, ef=1500)
    for i in range(40):
        assert_same([part[i : i + 1] for part in got], index.search(q[i], k=700, filter=allowed, ef=1500))


@pytest.mark.parametrize("codec", ["f32", "sq8", "pq4", "rabitq4"])
@pytest.mark.parametrize("metric", METRICS)
def test_a_graph_of_the_centroids_finds_the_lists_that_comparing_them_all_does(codec, metric):
    graph, compared = full(f"ivf graph {codec}", metric), full(f"ivf {codec}", metric)
    for nprobe in (1, 3, LISTS):
        got, wanted = (
            index.search(Q, k=9, nprobe=nprobe, **ef) for index, ef in ((graph, {"ef": LISTS}), (compared, {}))
        )
        np.testing.assert_array_equal(got.ids, wanted.ids)
        np.testing.assert_allclose(got.distances, wanted.distances, rtol=1e-5, atol=1e-5)


def test_a_graph_of_centroids_has_the_metric_of_its_index_and_no_rows():
    with pytest.raises(ValueError, match=r'coarse=HNSW\(.*metric="l2"\) does not go with metric "cosine"'):
        ak.IVF(lists=4, coarse=ak.HNSW(), metric="cosine")
    with pytest.raises(ValueError, match=r"holds 1500 rows, expected none"):
        ak.IVF(lists=4, coarse=ak.HNSW().add(X))
    with pytest.raises(TypeError):
        ak.IVF(lists=4, coarse=ak.Flat())


def test_rows_beyond_many_lists_go_where_the_graph_leads():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((33_000, 4), np.float32)
    index = ak.IVF(lists=33_000, coarse=ak.HNSW(degree=8, ef_build=20)).fit(x).add(x)
    # every row is a centroid, or nearly
    assert np.mean(index.search(x[:500], k=1, nprobe=1).ids.ravel() == np.arange(500)) > 0.99


@pytest.mark.parametrize("name", ["pca flat", "pca ivf sq8", "opq ivf pq4", "rotation flat sq4", "pca refine"])
@pytest.mark.parametrize("metric", METRICS)
def test_a_pipeline_is_its_parts_one_after_the_other(name, metric):
    transform = TRANSFORMS[name.split()[0]]().fit(X)
    inner = {"pca flat": flat("f32"), "pca ivf sq8": ivf("sq8"), "opq ivf pq4": ivf("pq4")}
    inner |= {"rotation flat sq4": flat("sq4"), "pca refine": refine(flat("rabitq1"), "sq8")}
    there = transform.apply(X)
    index = inner[name](metric).fit(there).add(there, ids=IDS)
    assert_same(full(name, metric).search(Q, k=9), index.search(transform.apply(Q), k=9))


def test_a_pipeline_takes_many_queries_in_blocks():
    index = full("pca flat")
    one, many = index.search(Q, k=3), np.tile(Q, (300, 1))
    assert_same(index.search(many, k=3), [np.tile(part, (300, 1)) for part in one])
    masks = [IDS[i::60] for i in range(60)]
    lims, *found = index.range_search(many, float(one.distances[0, 2]), filter=masks * 300)
    wanted_lims, *wanted = index.range_search(Q, float(one.distances[0, 2]), filter=masks)
    assert_same(found, [np.tile(part, 300) for part in wanted])
    np.testing.assert_array_equal(np.diff(lims), np.tile(np.diff(wanted_lims), 300))
    with_filters = index.search(many, k=3, filter=masks * 300)
    assert_same(with_filters, [np.tile(part, (300, 1)) for part in index.search(Q, k=3, filter=masks)])
