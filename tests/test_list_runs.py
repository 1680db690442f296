"""Lists where tiles tell little: SQ(8) in clusters far from each other, and few rows that a filter lets through."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from same import assert_same_in_batches
from truth import distances

import annkit as ak
from annkit._core import _kernels as kernels


def clusters(rng, n, dim, queries):
    means = rng.standard_normal((30, dim))
    x = means[rng.integers(0, 30, n + queries)] + 0.3 * rng.standard_normal((n + queries, dim))
    return x[:n].astype(np.float32), x[n:].astype(np.float32)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dim", [3, 64, 100, 1000])
def test_bounds_of_runs_hold_and_tell_rows_apart(rng, metric, residual, dim):
    x, queries = clusters(rng, 700, dim, 9)
    queries[0] = 0
    center = x.mean(axis=0) if residual else None
    codec = ak.SQ(8).fit(x - center if residual else x)
    for runs in (False, True):
        scores, lower, upper = kernels.tile_scores(codec, metric, x, center, queries, runs)
        assert (lower <= scores).all()
        assert (scores <= upper).all()
    close = 4 / kernels.byte_query_levels(ak.simd.level())
    assert ((upper - lower).max(axis=1) < close * (scores.max(axis=1) - scores.min(axis=1)))[1:].all()


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e13, 1e17])
def test_no_row_is_lost_however_large_or_small_rows_are(rng, metric, scale):
    """Also none that lies at the codes' mean, for a query alone and for many."""
    x = (scale * rng.standard_normal((60, 24))).astype(np.float32)
    x = np.concatenate([x, -x, x.mean(axis=0, keepdims=True), np.zeros((1, 24), np.float32)])
    for index in (ak.Flat(codec=ak.SQ(8), metric=metric), ak.IVF(lists=2, codec=ak.SQ(8), metric=metric)):
        index.fit(x).add(x)
        settings = {"nprobe": 2} if "nprobe" in index.settings else {}
        wanted = index.search(x, k=len(x), **settings)
        np.testing.assert_array_equal(np.sort(wanted.ids, axis=1), np.tile(np.arange(len(x)), (len(x), 1)))
        for k in (1, 10):
            for first in (0, 40):
                got = index.search(x[first : first + 1], k=k, **settings)
                np.testing.assert_array_equal(got.distances, wanted.distances[first : first + 1, :k])
            np.testing.assert_array_equal(index.search(x, k=k, **settings).distances, wanted.distances[:, :k])


@pytest.mark.parametrize("scale", [1e-9, 1.0])
def test_walks_find_their_way_however_small_rows_are(rng, scale):
    x = (scale * rng.standard_normal((2000, 16))).astype(np.float32)
    graph = ak.HNSW(codec=ak.SQ(8)).fit(x).add(x)
    exact = ak.Flat(codec=ak.SQ(8)).fit(x).add(x).search(x[:100], k=10).ids
    assert ak.metrics.recall(graph.search(x[:100], k=10, ef=100).ids, exact) > 0.95


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [8, 6, 4])
def test_few_rows_far_away_leave_bounds_of_others_close(rng, metric, residual, bits):
    x = (rng.standard_normal((3000, 64)) * np.exp(1.5 * rng.standard_normal((3000, 1)))).astype(np.float32)
    codec = ak.SQ(bits).fit(x)
    center = np.full(64, 0.01, np.float32) if residual else None
    x = x[np.argsort(np.square(x).sum(axis=1))[1200:1800]]
    scores, lower, upper = kernels.tile_scores(codec, metric, x, center, x[:20])
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    assert ((upper - lower).max(axis=1) < 2 * np.square(x[:20]).sum(axis=1)).all()


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize(("dim", "lists", "k"), [(64, 20, 10), (20, 200, 10), (130, 7, 40), (33, 40, 100)])
def test_nearest_rows_are_those_of_decoded_rows(rng, metric, dim, lists, k):
    x, q = clusters(rng, 9000, dim, 250)
    index = ak.IVF(lists=lists, codec=ak.SQ(8), metric=metric).fit(x).add(x)
    wanted = distances(q, index.reconstruct(np.arange(len(x))), metric)
    wanted = -np.sort(-wanted, axis=1)[:, :k] if metric == "ip" else np.sort(wanted, axis=1)[:, :k]
    found = index.search(q, k=k, nprobe=lists, threads=1).distances
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("refined", [False, True])
def test_answers_do_not_depend_on_batches_or_threads(rng, metric, refined):
    x, q = clusters(rng, 9000, 64, 60)
    index = ak.IVF(lists=25, codec=ak.SQ(8), metric=metric)
    index = (ak.Refine(index, codec=ak.Raw("f16")) if refined else index).fit(x).add(x)
    for nprobe in (1, 3):
        assert_same_in_batches(index, q, nprobe=nprobe)
        assert_same_in_batches(index, q, nprobe=nprobe, filter=np.arange(len(x)) % 3 > 0)


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize(
    "codec", [ak.Raw(), ak.Raw("f16"), ak.SQ(8), ak.SQ(6), ak.PQ(4, bits=6), ak.PQ(10, bits=4), ak.RaBitQ()]
)
@pytest.mark.parametrize("removed", [False, True])
def test_few_allowed_rows_have_the_scores_of_others(rng, codec, metric, removed):
    """A batch looks them up, a query by itself meets them among all; ids in runs, and scattered."""
    x, queries = clusters(rng, 4000, 20, 60)
    index = ak.IVF(lists=12, codec=codec, metric=metric).fit(x).add(x)
    live = np.arange(4000)
    if removed:
        live = np.setdiff1d(live, rng.choice(4000, 1900, replace=False))
        index.remove(np.setdiff1d(np.arange(4000), live))
    for allowed in (rng.choice(live, 60, replace=False), live[100:160], live[:1], live[:0]):
        for nprobe in (3, 12):
            batch = index.search(queries, 10, nprobe=nprobe, filter=allowed)
            alone = [index.search(query, 10, nprobe=nprobe, filter=allowed) for query in queries]
            np.testing.assert_array_equal(batch.ids, np.concatenate([one.ids for one in alone]))
            np.testing.assert_array_equal(batch.distances, np.concatenate([one.distances for one in alone]))
        assert np.isin(batch.ids, np.append(allowed, -1)).all()
        assert ((batch.ids >= 0).sum(axis=1) == min(10, len(allowed))).all()
    if codec == ak.Raw() and metric == "l2":
        wanted = live[np.argsort(distances(queries, x[live], "l2"), axis=1)[:, :10]]
        few = index.search(queries, 10, nprobe=12, filter=wanted[0])
        np.testing.assert_array_equal(few.ids[0], wanted[0])


def test_equal_rows_and_few_rows(rng):
    x, q = clusters(rng, 500, 16, 50)
    index = ak.IVF(lists=12, codec=ak.SQ(8)).fit(x).add(np.repeat(x, 5, axis=0))
    found = index.search(q, k=10, nprobe=12, threads=1)
    assert (np.diff(found.ids.reshape(-1, 2, 5)) == 1).all()  # equal rows, by id
    assert (index.search(q, k=500, nprobe=1).ids[:, -1] == -1).all()
    assert_same_in_batches(index, q, nprobe=1)


@pytest.mark.parametrize("level", ak.simd.levels())
def test_every_level_finds_rows_as_near(rng, level, tmp_path):
    x, q = clusters(rng, 5000, 48, 200)
    index = ak.IVF(lists=25, codec=ak.SQ(8)).fit(x).add(x)
    index.save(tmp_path / "index.ak")
    np.save(tmp_path / "q.npy", q)
    code = f"""
import annkit as ak, numpy as np
q = np.load({str(tmp_path / "q.npy")!r})
np.save({str(tmp_path / "near.npy")!r}, ak.load({str(tmp_path / "index.ak")!r}).search(q, nprobe=2).distances)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "ANNKIT_SIMD": level}, check=True)
    # The last bits of floats, and so the order of nearly equal rows, differ between levels.
    np.testing.assert_allclose(np.load(tmp_path / "near.npy"), index.search(q, nprobe=2).distances, rtol=1e-5)


@pytest.mark.parametrize("bits", [8, 6, 4])
@pytest.mark.parametrize("dim", [1, 2, 40])
@pytest.mark.parametrize("offset", [1e3, 1e4, 1e5, 1e6])
def test_rows_far_from_the_origin_are_found(rng, offset, dim, bits):
    x = (rng.standard_normal((600, dim)) + offset).astype(np.float32)
    codec = ak.SQ(bits).fit(x)
    scores, lower, upper = kernels.tile_scores(codec, "l2", x, None, codec.decode(codec.encode(x[:50])))
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    for index in (ak.Flat(codec=ak.SQ(bits)), ak.IVF(lists=4, codec=ak.SQ(bits))):
        index.fit(x).add(x)
        batch = index.search(x[:60], 10)
        assert (batch.ids >= 0).all()
        for i in range(20):
            np.testing.assert_array_equal(index.search(x[i], 10).ids[0], batch.ids[i])
