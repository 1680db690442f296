"""Ranges of Refine against exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from truth import assert_same, distances

import annkit as ak

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
N, DIM = 6000, 32
BASES = {
    "sq8": lambda metric: ak.Flat(codec=ak.SQ(8), metric=metric),
    "sq4": lambda metric: ak.Flat(codec=ak.SQ(4), metric=metric),
    "pq4": lambda metric: ak.Flat(codec=ak.PQ(16, bits=4), metric=metric),
    "pq8": lambda metric: ak.Flat(codec=ak.PQ(8), metric=metric),
    "rabitq": lambda metric: ak.Flat(codec=ak.RaBitQ(2), metric=metric),
    "ivf pq4": lambda metric: ak.IVF(lists=16, codec=ak.PQ(16, bits=4), metric=metric),
    "hnsw sq4": lambda metric: ak.HNSW(codec=ak.SQ(4), metric=metric),
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    centers = rng.standard_normal((60, DIM)) * 1.5
    x = (centers[rng.integers(60, size=N + 60)] + rng.standard_normal((N + 60, DIM))).astype(np.float32)
    return x[:N], x[N:]


def recall(lims, ids, within):
    """Return the share of what is within that was found; nothing else may be."""
    found = np.zeros_like(within)
    for i in range(len(within)):
        found[i, ids[lims[i] : lims[i + 1]]] = True
    assert not (found & ~within).any()
    return found.sum() / within.sum()


@pytest.mark.parametrize("metric", ["l2", "euclidean", "ip", "cosine"])
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("hits", [1, 10, 200])
def test_ranges_have_what_the_base_puts_just_beyond_the_radius(rows, name, metric, hits):
    x, queries = rows
    index = ak.Refine(BASES[name](metric)).fit(x).add(x)
    known = {"nprobe": 16} if name.startswith("ivf") else {}
    exact = distances(queries, x, metric)
    radius = float(np.median(np.partition(-exact if metric == "ip" else exact, hits, axis=1)[:, hits]))
    radius = -radius if metric == "ip" else radius
    within = exact >= radius if metric == "ip" else exact <= radius
    bare = recall(*ranges(index, queries, radius, k_factor=1, **known), within)
    found = recall(*ranges(index, queries, radius, **known), within)
    assert bare <= found
    assert found >= (0.98 if "sq" in name else 0.8 if hits == 1 else 0.9)
    assert recall(*ranges(index, queries, radius, k_factor=16, **known), within) >= 0.98


def ranges(index, queries, radius, **settings):
    found = index.range_search(queries, radius, **settings)
    return found.lims, found.ids


def test_what_a_query_gets_depends_on_no_other_one(rows):
    x, queries = rows
    index = ak.Refine(ak.Flat(codec=ak.PQ(8, bits=4))).fit(x).add(x)
    masks = [np.arange(N) % 3 == i % 3 for i in range(len(queries))]
    radius = float(index.search(queries, k=40).distances[:, -1].mean())
    for filters in (None, masks, masks[0]):
        whole = index.range_search(queries, radius, filter=filters, threads=2)
        for i in range(0, len(queries), 7):
            own = filters[i] if filters is masks else filters
            alone = index.range_search(queries[i : i + 1], radius, filter=own, threads=1)
            part = slice(whole.lims[i], whole.lims[i + 1])
            assert_same(alone[1:], (whole.distances[part], whole.ids[part]))
    strided = np.asfortranarray(queries.astype(np.float64))[::-1]
    lims, *found = index.range_search(strided, radius)
    whole = index.range_search(np.ascontiguousarray(queries[::-1]), radius)
    assert_same((lims, *found), whole)


def test_ranges_end_where_rows_do(rows):
    x, queries = rows
    for base in (ak.Flat(codec=ak.SQ(4)), ak.IVF(lists=4, codec=ak.SQ(4))):
        index = ak.Refine(base).fit(x)
        assert index.range_search(queries, 1.0).ids.size == 0
        index.add(x[:30])
        assert index.range_search(queries, np.inf, filter=[1, 2]).ids.size <= 2 * len(queries)
        assert set(index.range_search(x[:30], 0.0).ids) == set(range(30))
        assert index.range_search(queries, -1.0).ids.size == 0
