"""SQ where a few dimensions are far wider than the others: their weights are multiplied apart from the others'."""

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


def rows(rng, kind, n, dim):
    """Return rows of a few clusters, some dimensions of which are wide, the last one always."""
    x = rng.standard_normal((30, dim))[rng.integers(0, 30, n)] + rng.standard_normal((n, dim))
    wide = {"one": 1, "four": 4, "too many": 20}.get(kind, 1)
    x[:, np.linspace(dim - 1, 0, wide).astype(int)] *= 300 if kind == "far wider" else 30
    if kind == "constant":
        x[:, : dim - 1 : 3] = 7
    if kind == "spectrum":
        x /= np.arange(1, dim + 1)
    return x.astype(np.float32)


KINDS = ["one", "four", "too many", "far wider", "constant", "spectrum"]


def asked(x, n):
    """Return queries like the rows, a few of them zero, on a row, or far out in all or in one dimension."""
    q = x[-n:].copy()
    q[0] = 0
    q[1] *= 100
    q[2, 0] += 1e4
    q[3, -1] += 1e5
    q[4] = x[0]
    return q


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [8, 6, 4])
@pytest.mark.parametrize("dim", [1, 2, 7, 66, 130])
def test_bounds_hold(rng, kind, metric, residual, bits, dim):
    x = rows(rng, kind, 340, dim)
    center = x.mean(axis=0) if residual else None
    codec = ak.SQ(bits).fit(x - center if residual else x)
    scores, lower, upper = kernels.tile_scores(codec, metric, x[:300], center, asked(x, 40))
    assert (lower <= scores).all()
    assert (scores <= upper).all()


@pytest.mark.parametrize("wide", [[5], [63], [0, 21, 40, 63]])
@pytest.mark.parametrize("times", [10, 30, 100])
@pytest.mark.parametrize("bits", [8, 6, 4])
def test_bounds_tell_rows_apart_that_differ_in_narrow_dimensions(rng, wide, times, bits):
    x = rng.standard_normal((2000, 64)).astype(np.float32)
    x[:, wide] *= times
    x[:300, wide] = x[0, wide]
    codec = ak.SQ(bits).fit(x)
    scores, lower, upper = kernels.tile_scores(codec, "l2", x[:300], None, x[:20])
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    assert ((upper - lower).max(axis=1) < 3 * scores.std(axis=1)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize(("dim", "bits"), [(2, 8), (33, 8), (66, 6), (97, 8), (130, 4)])
def test_nearest_rows_are_those_of_decoded_rows(rng, kind, metric, dim, bits):
    x = rows(rng, kind, 3200, dim)
    x, q = x[:-200], asked(x, 200)
    flat = ak.Flat(codec=ak.SQ(bits), metric=metric).fit(x).add(x)
    lists = ak.IVF(lists=12, codec=ak.SQ(bits), residual=False, metric=metric).fit(x).add(x)
    residual = ak.IVF(lists=12, codec=ak.SQ(bits), residual=True, metric=metric).fit(x).add(x)
    for index, all_lists in ((flat, {}), (lists, {"nprobe": 12}), (residual, {"nprobe": 12})):
        wanted = distances(q, index.reconstruct(np.arange(len(x))), metric)
        wanted = -np.sort(-wanted, axis=1)[:, :10] if metric == "ip" else np.sort(wanted, axis=1)[:, :10]
        found = index.search(q, 10, **all_lists).distances
        size = np.linalg.norm(q, axis=1, keepdims=True) + np.linalg.norm(x, axis=1).max()
        assert (np.abs(found - wanted) <= 2e-6 * np.square(size) + 2e-4 * np.abs(wanted)).all()
        assert_same_in_batches(index, q[:40], **all_lists)


@pytest.mark.parametrize("times", [20, 100])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_graphs_find_what_scans_find(rng, metric, bits, times):
    x = rng.standard_normal((3100, 48)).astype(np.float32)
    x[:, 20] *= times
    assert graph_recall(x, metric, bits) > 0.95


# Rows of a group share what is wide: the other dimensions decide between them.
@pytest.mark.parametrize(("dim", "wide"), [(8, 1), (16, 1), (20, 5), (64, 12), (64, 16)])
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_graphs_tell_rows_apart_that_differ_in_narrow_dimensions(rng, metric, dim, wide):
    x = rng.standard_normal((3100, dim)).astype(np.float32)
    group = rng.integers(0, 40, 3100)
    x[:, -wide:] = 100 * x[group, -wide:] / np.linalg.norm(x[group, -wide:], axis=1, keepdims=True)
    assert graph_recall(x, metric, 8) > (0.9 if metric == "l2" else 0.7)  # graphs suit inner products less


def graph_recall(x, metric, bits):
    """Return the share that a graph finds of what a scan does."""
    x, q = x[:3000], x[3000:]
    wanted = ak.Flat(codec=ak.SQ(bits), metric=metric).fit(x).add(x).search(q, 10)
    found = ak.HNSW(codec=ak.SQ(bits), metric=metric).fit(x).add(x).search(q, 10, ef=40)
    return ak.metrics.recall_by_distance(found.distances, wanted.distances, largest=metric == "ip", tolerance=1e-4)


@pytest.mark.parametrize("level", ak.simd.levels())
def test_levels_find_the_same(rng, tmp_path, level):
    x = rows(rng, "four", 3000, 50)
    index = ak.IVF(lists=10, codec=ak.SQ(8), residual=True).fit(x).add(x)
    index.save(tmp_path / "index.ak")
    np.save(tmp_path / "q.npy", asked(x, 100))
    code = f"""
import annkit as ak, numpy as np
q = np.load({str(tmp_path / "q.npy")!r})
np.save({str(tmp_path / "near.npy")!r}, ak.load({str(tmp_path / "index.ak")!r}).search(q, nprobe=4).distances)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "ANNKIT_SIMD": level}, check=True)
    wanted = index.search(asked(x, 100), nprobe=4).distances
    np.testing.assert_allclose(np.load(tmp_path / "near.npy"), wanted, rtol=1e-5, atol=1e-5 * 3e4)
