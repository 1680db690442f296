"""HNSW: what its walks find and what its graph is. What every index promises is in test_indexes.py."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from graph_rows import Q, X, reached, truth
from truth import assert_same, distances, hamming, nearest

import annkit as ak
from annkit.metrics import recall

METRICS = ["l2", "ip", "cosine"]
CODECS = {
    "f32": (lambda: ak.Raw("f32"), 0.97),
    "bf16": (lambda: ak.Raw("bf16"), 0.96),
    "sq8": (lambda: ak.SQ(8), 0.95),
    "sq4": (lambda: ak.SQ(4), 0.7),
    "rabitq4": (lambda: ak.RaBitQ(4), 0.75),
}


@pytest.fixture(scope="module")
def rows():
    return X, Q


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("codec", CODECS)
def test_most_of_the_nearest_rows_are_found(rows, codec, metric):
    x, q = rows
    make, least = CODECS[codec]
    index = ak.HNSW(degree=24, codec=make(), metric=metric).fit(x).add(x)
    assert recall(index.search(q, k=10, ef=100).ids, truth(x, q, metric)) >= least


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("codec", ["sq4", "rabitq4"])
def test_refine_chooses_among_what_a_coarse_walk_finds(rows, codec, metric):
    x, q = rows
    base = ak.HNSW(degree=24, codec=CODECS[codec][0](), metric=metric)
    index = ak.Refine(base, k_factor=5).fit(x).add(x)
    assert recall(index.search(q, k=10, ef=100).ids, truth(x, q, metric)) >= 0.95


def test_bits_are_found_by_their_hamming_distance(rng):
    centers = rng.integers(0, 256, (50, 16), np.uint8)
    flips = np.packbits(rng.random((3100, 128)) < 0.12, axis=1)
    codes = centers[rng.integers(50, size=3100)] ^ flips
    x, q = codes[:3000], codes[3000:]
    index = ak.HNSW(degree=24, codec=ak.Bits(), metric="hamming").add(x)
    found = index.search(q, k=10, ef=120)
    table = hamming(q, x)
    assert found.distances.dtype == np.int32
    np.testing.assert_array_equal(found.distances, np.take_along_axis(table, found.ids, axis=1))
    assert (found.distances == nearest(table, np.arange(3000), 10, "hamming")[0]).mean() > 0.9


@pytest.mark.parametrize("metric", METRICS)
def test_distances_are_those_of_the_ids(rows, metric):
    x, q = rows
    got, ids = ak.HNSW(codec=ak.Raw("f32"), metric=metric).add(x[:2000]).search(q, k=5)
    wanted = np.take_along_axis(distances(q, x[:2000], metric), ids, axis=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_larger_ef_finds_more(rows):
    x, q = rows
    index, wanted = ak.HNSW(degree=8, ef_build=30).add(x), truth(x, q)
    found = [recall(index.search(q, k=10, ef=ef).ids, wanted) for ef in (10, 30, 100, 1000)]
    assert found == sorted(found)
    assert found[-1] > 0.99 > found[0]


def test_a_larger_gamma_finds_more(rows):
    x, q = rows
    index, wanted = ak.HNSW(degree=8, ef_build=30).add(x), truth(x, q)
    found = [recall(index.search(q, k=10, gamma=gamma).ids, wanted) for gamma in (0, 0.05, 0.2, 10)]
    assert found == sorted(found)
    assert found[-1] > 0.99 > found[0]
    assert recall(index.search(q, k=10, gamma=10, ef=6000).ids, wanted) == 1


@pytest.mark.parametrize("codec", ["f32", "sq8"])
def test_gamma_ends_walks_that_ef_bounds(rows, codec):
    x, q = rows
    index = ak.HNSW(degree=12, codec=CODECS[codec][0]()).fit(x).add(x)
    allowed = np.flatnonzero(np.arange(len(x)) % 3 != 1)
    for ef, some in ((20, None), (60, None), (20, allowed)):
        without = index.search(q, k=10, ef=ef, filter=some)
        assert_same(index.search(q, k=10, ef=ef, gamma=1e6, filter=some), without)
        assert (index.search(q, k=10, ef=ef, gamma=0, filter=some).distances >= without.distances).all()


@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_gamma_is_of_distances_whatever_the_metric_and_the_scale(rows, scale):
    x, q = (part[:2000] / np.linalg.norm(part[:2000], axis=1, keepdims=True) for part in rows)
    plain = ak.HNSW(degree=12).add(x).search(q, k=10, gamma=0.05).ids
    for metric in ("l2", "euclidean", "cosine"):
        index = ak.HNSW(degree=12, metric=metric).add(x * np.float32(scale))
        assert (index.search(q * np.float32(scale), k=10, gamma=0.05).ids == plain).mean() > 0.99
        assert (index.search(q * np.float32(scale), k=10, gamma=0.5).ids == plain).mean() < 0.99


@pytest.mark.parametrize("share", [0.6, 0.15])
def test_gamma_finds_allowed_rows(rows, share):
    x, q = rows
    allowed = np.random.default_rng(0).random(len(x)) < share
    found = ak.HNSW(degree=16).add(x).search(q, k=10, gamma=0.2, filter=allowed).ids
    assert allowed[found].all()
    assert recall(found, truth(x, q, allowed=allowed)) > 0.95


def test_gamma_needs_distances_and_a_kth_neighbour(rows):
    x, q = rows
    for index in (ak.HNSW(metric="ip"), ak.HNSW(metric="ip").add(x[:300])):
        with pytest.raises(ValueError, match=r'gamma.*"ip"'):
            index.search(q, gamma=0.1)
    for index in (ak.HNSW(), ak.HNSW().add(x[:300])):
        with pytest.raises(ValueError, match=r"gamma.*range_search"):
            index.range_search(q, 1.0, gamma=0.1)
    for bad in (-0.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="gamma"):
            ak.HNSW().add(x[:300]).search(q, gamma=bad)


def test_rows_of_very_different_norms_are_found_by_inner_product(rng):
    x = rng.standard_normal((5000, 20)).astype(np.float32)
    x *= rng.lognormal(0, 1, (5000, 1)).astype(np.float32)
    q = rng.standard_normal((200, 20)).astype(np.float32)
    index = ak.HNSW(degree=32, metric="ip").add(x)
    assert recall(index.search(q, k=10, ef=100).ids, truth(x, q, "ip")) > 0.95
    assert reached(index, x) == 5000


@pytest.mark.parametrize("codec", ["f32", "sq8"])
def test_the_graph_does_not_depend_on_threads(rows, codec):
    x, _ = rows
    files = [
        ak.HNSW(degree=12, ef_build=40, codec=CODECS[codec][0]()).fit(x).add(x, threads=threads).to_bytes()
        for threads in (1, 2, 3)
    ]
    assert files[0] == files[1] == files[2]


EQUAL = {
    "one": np.ones((1, 5), np.float32),
    "two": np.eye(2, 5, dtype=np.float32),
    "two equal": np.ones((2, 5), np.float32),
    "equal": np.ones((10_000, 5), np.float32),
    "zero": np.zeros((3_000, 5), np.float32),
    "equal and others": np.concatenate(
        [np.full((4000, 5), 0.5), np.random.default_rng(0).standard_normal((3000, 5)), np.full((4000, 5), -0.5)]
    ).astype(np.float32),
    "on a line": np.arange(2000, dtype=np.float32)[:, None] * np.ones(5, np.float32),
}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("degree", [4, 16])
@pytest.mark.parametrize("what", EQUAL)
def test_every_row_is_reached_whatever_the_rows_are(what, degree, metric):
    x = EQUAL[what]
    index = ak.HNSW(degree=degree, ef_build=20, metric=metric).add(x)
    assert reached(index, x) == len(x)
    assert all(layer["parts"] == 1 for layer in index.stats()["layers"])
    index.remove(np.arange(0, len(x), 3))
    assert reached(index, x) == len(index) if len(index) else True
    index.add(x[:50], ids=10**6 + np.arange(min(50, len(x))))
    assert reached(index, x) == len(index)


def test_rows_beside_many_equal_ones_are_found(rng):
    x = rng.standard_normal((1000, 8)).astype(np.float32)
    x = np.concatenate([np.repeat(x[:1], 5000, axis=0), x])
    index = ak.HNSW(degree=16, ef_build=50).add(x)
    found = index.search(x[5001:], k=1, ef=64)
    assert (found.distances[:, 0] == 0).mean() > 0.95


@pytest.mark.parametrize("share", [0.0, 0.003, 0.05, 0.5, 0.98])
def test_filtered_walks_find_what_is_allowed(rows, rng, share):
    x, q = rows
    index = ak.HNSW(degree=24).add(x)
    masks = rng.random((len(q), len(x))) < share
    got = index.search(q, k=10, ef=80, filter=list(masks)).ids
    wanted = truth(x, q, allowed=masks)
    for i, mask in enumerate(masks):
        found = got[i][got[i] >= 0]
        assert mask[found].all()
        assert len(found) == min(10, mask.sum())
    assert recall(got, wanted) > 0.97 or share == 0


@pytest.mark.parametrize("near", [True, False])
def test_filters_that_go_with_the_query_are_no_worse(rows, near):
    x, q = rows
    index = ak.HNSW(degree=24).add(x)
    table = distances(q, x, "l2")
    border = np.quantile(table, 0.2 if near else 0.8, axis=1, keepdims=True)
    masks = table <= border if near else table >= border
    got = index.search(q, k=10, ef=80, filter=list(masks)).ids
    assert recall(got, truth(x, q, allowed=masks)) > 0.96


@pytest.mark.parametrize("metric", METRICS)
def test_range_search_finds_most_of_what_lies_within(rows, metric):
    x, q = rows
    index = ak.HNSW(degree=24, metric=metric).add(x)
    table = distances(q, x, metric)
    for at in (5, 600):
        radius = float(np.median(np.sort(table, axis=1)[:, -at if metric == "ip" else at]))
        within = table >= radius if metric == "ip" else table <= radius
        lims, found_distances, found = index.range_search(q, radius, ef=50)
        hits = 0
        for i in range(len(q)):
            ids = found[lims[i] : lims[i + 1]]
            hits += within[i][ids].sum()
            own = found_distances[lims[i] : lims[i + 1]] * (-1 if metric == "ip" else 1)
            assert (np.diff(own) >= 0).all()
        assert hits >= 0.97 * within.sum()
        assert lims[-1] <= within.sum() + 2


@pytest.mark.parametrize("metric", METRICS)
def test_a_finer_codec_builds_a_better_graph_for_a_coarse_one(rows, metric):
    x, q = rows
    wanted = truth(x, q, metric)
    found = []
    for build_codec in (None, ak.SQ(8)):
        base = ak.HNSW(degree=16, codec=ak.RaBitQ(1), build_codec=build_codec, metric=metric)
        index = ak.Refine(base, k_factor=5).fit(x).add(x[:5000]).add(x[5000:])
        found.append(recall(index.search(q, ef=50).ids, wanted))
        assert reached(index, x) == 6000
        again = ak.Index.from_bytes(index.to_bytes())
        assert again.to_bytes() == index.to_bytes()
    assert found[1] > found[0] + 0.003


def test_stats_describe_the_graph(rows):
    x, _ = rows
    index = ak.HNSW(degree=16, ef_build=40).add(x)
    stats = index.stats()
    base, *above = stats["layers"]
    assert base["nodes"] == 6000
    assert base["degrees"].sum() == 6000
    assert len(base["degrees"]) == 17
    assert 4 < (base["degrees"] * np.arange(17)).sum() / 6000 <= 16
    sizes = [layer["nodes"] for layer in above]
    assert sizes == sorted(sizes, reverse=True)
    assert 6000 / 16 < sizes[0] < 6000 / 4
    assert index.memory()["links"] >= 6000 * 16 * 4
    assert index.nbytes <= 1.05 * 6000 * (24 * 4 + 4 + 16 * 4 + 16)


def test_stats_are_those_of_the_graph_within(rows):
    x, _ = rows
    plain = ak.HNSW(degree=16, ef_build=40)
    alone = ak.HNSW(degree=16, ef_build=40).add(x[:500]).stats()["layers"]
    for index in (ak.Refine(plain), ak.Pipeline(ak.Center(), plain), ak.Refine(ak.Pipeline(ak.Center(), plain))):
        layers = index.fit(x).add(x[:500]).stats()["layers"]
        assert [layer["nodes"] for layer in layers] == [layer["nodes"] for layer in alone]
        assert all(layer["parts"] == 1 for layer in layers)
    with pytest.raises(ValueError, match=r"Refine\(Flat.* has no graph"):
        ak.Refine(ak.Flat()).stats()
    with pytest.raises(ValueError, match=r"Pipeline\(.* has no graph"):
        ak.Pipeline(ak.Center(), ak.Flat()).stats()


def test_what_makes_no_sense_is_refused():
    for bad in ({"degree": 3}, {"degree": 0}, {"degree": 5000}, {"ef_build": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}.*{next(iter(bad.values()))}"):
            ak.HNSW(**bad)
    with pytest.raises(ValueError, match="hamming"):
        ak.HNSW(metric="hamming")
    with pytest.raises(ValueError, match="Bits"):
        ak.HNSW(codec=ak.Bits())
    with pytest.raises(TypeError, match="codec"):
        ak.HNSW(codec="SQ8")
    with pytest.raises(ValueError, match="ef"):
        ak.HNSW().add(np.eye(3, dtype=np.float32)).search(np.eye(3, dtype=np.float32), ef=0)


def test_the_repr_makes_its_like():
    for index in (ak.HNSW(), ak.HNSW(degree=10, ef_build=7, codec=ak.SQ(4), build_codec=ak.SQ(8), metric="cosine")):
        assert repr(eval(repr(index), {"HNSW": ak.HNSW, "Raw": ak.Raw, "SQ": ak.SQ})) == repr(index)
        assert repr(copy.copy(index)) == repr(index)


def test_links_lead_to_other_clusters():
    rng = np.random.default_rng(0)
    clusters, rank, dim, n = 60, 48, 128, 6000
    means, spread = rng.standard_normal((clusters, dim)), rng.standard_normal((clusters, rank, dim)) / rank**0.5
    of = rng.integers(0, clusters, n + 1000)
    rows = means[of] + np.einsum("ij,ijk->ik", rng.standard_normal((len(of), rank)), spread[of])
    rows = (rows + 0.1 * rng.standard_normal(rows.shape)).astype(np.float32)
    x, q = rows[:n], rows[n:]
    truth = np.argsort((x**2).sum(axis=1) - 2 * q @ x.T, axis=1)[:, :10]
    index = ak.HNSW(degree=16, ef_build=50).add(x)  # a cluster has more rows than a walk keeps
    # 0.84; where the nearest take all places, 0.79
    assert recall(index.search(q, 10, ef=10).ids, truth) > 0.815


@pytest.mark.parametrize("codec", [ak.Raw("f32"), ak.SQ(8)])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("removed", [[], [5, 77]])
def test_wide_ranges_hold_all_rows(codec, share, removed):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((6000, 48)).astype(np.float32)
    graph = ak.HNSW(degree=8, ef_build=30, codec=codec).fit(x).add(x)
    flat = ak.Flat(codec=codec).fit(x).add(x)
    for index in (graph, flat):
        index.remove(removed)
    radius = float(flat.search(x[0], k=round(share * len(flat))).distances[0, -1])
    for got, wanted in zip(graph.range_search(x[:4], radius), flat.range_search(x[:4], radius), strict=True):
        np.testing.assert_array_equal(got, wanted)
