"""Flat over raw codecs against NumPy: exactly for integers, within float32's error for floats."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
from truth import assert_nearest, assert_same, distances, nearest, round_to, tolerance_of

import annkit as ak

FLOATS, BYTES = ["f32", "f16", "bf16"], ["u8", "i8"]
METRICS = ["l2", "euclidean", "ip", "cosine"]
BATCHES = [1, 3, 4, 17, 300]


def data(rng, element, n, dim):
    """Return rows as they are added to a raw codec of this type; some are equal, one is zero."""
    if element in BYTES:
        low = 0 if element == "u8" else -128
        x = rng.integers(low, low + 256, (n, dim)).astype(np.uint8 if element == "u8" else np.int8)
        x[-1] = low
    else:
        x = rng.standard_normal((n, dim)).astype(np.float32)
    x[n // 2], x[n // 3] = x[0], 0
    return x


def small_integers(rng, n, dim):
    """Return floats whose distances every sum gives exactly: ties are many."""
    return rng.integers(-2, 3, (n, dim)).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("element", FLOATS + BYTES)
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (700, 3), (1300, 37), (600, 128)])
def test_search_finds_what_numpy_finds(rng, element, metric, n, dim):
    x, ids = data(rng, element, n, dim), rng.permutation(n) * 3
    index = ak.Flat(codec=ak.Raw(element), metric=metric).add(x, ids=ids)
    q = data(rng, element, 300, dim)
    kept = round_to(x, element)
    table = distances(q, kept, metric)
    exact = nearest(table, ids, 40, metric) if element in BYTES and metric in ("l2", "ip") else None
    for nq, k in ((1, 1), (1, 40), (3, 10), (4, 10), (17, 1), (17, 40), (300, 10)):
        got = index.search(q[:nq], k=k)
        if exact:
            assert_same(got, [part[:nq, :k] for part in exact])
        else:
            assert_nearest(got, table[:nq], ids, metric, tolerance_of(q, kept, metric))


@pytest.mark.parametrize("metric", ["l2", "euclidean", "ip"])
@pytest.mark.parametrize("scan", [None, "sq8"])
@pytest.mark.parametrize("element", FLOATS)
def test_equal_distances_come_by_id(rng, element, metric, scan):
    x, q, ids = small_integers(rng, 1500, 5), small_integers(rng, 300, 5), rng.permutation(1500)
    index = ak.Flat(codec=ak.Raw(element), metric=metric, scan=scan).add(x, ids=ids)
    table = distances(q, x, metric).astype(np.float32)
    wanted = nearest(table, ids, 100, metric)
    for nq in BATCHES:
        for k in (1, 7, 100):
            assert_same(index.search(q[:nq], k=k), [part[:nq, :k] for part in wanted])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("element", [*FLOATS, *BYTES])
def test_results_do_not_depend_on_batch_or_threads(rng, element, metric):
    index = ak.Flat(codec=ak.Raw(element), metric=metric).add(data(rng, element, 20000, 33))
    q = data(rng, element, 600, 33)  # enough for threads to share them
    whole = index.search(q, k=12, threads=1)
    assert_same(index.search(q, k=12, threads=2), whole)
    for size in (1, 3, 4, 17, 70, 300):
        for first in (0, 113):
            part = slice(first, first + size)
            for threads in (1, 2):
                expected = whole.distances[part], whole.ids[part]
                assert_same(index.search(q[part], k=12, threads=threads), expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("element", FLOATS)
def test_a_sketch_changes_no_answer(rng, element, metric):
    x = rng.standard_normal((5000, 48)).astype(np.float32) * rng.lognormal(0, 2, (5000, 1)).astype(np.float32)
    x[::7] = x[0] + 1e-4 * rng.standard_normal((len(x[::7]), 48)).astype(np.float32)
    x[5] = 0
    plain = ak.Flat(codec=ak.Raw(element), metric=metric).add(x)
    sketched = ak.Flat(codec=ak.Raw(element), metric=metric, scan="sq8").add(x)
    mask = rng.random(5000) < 0.3
    for nq in (1, 2, 3, 17):
        q = x[rng.integers(0, 5000, nq)] + 0.01 * rng.standard_normal((nq, 48)).astype(np.float32)
        q[0] *= nq % 2
        for options in ({}, {"filter": mask}):
            assert_same(sketched.search(q, k=20, **options), plain.search(q, k=20, **options))
            radius = float(np.median(plain.search(q, k=20).distances))
            assert_same(sketched.range_search(q, radius, **options), plain.range_search(q, radius, **options))


def hard_rows(rng, kind, n, dim):
    """Return rows that bytes can hardly tell apart, or whose sums of float32 lose much."""
    x = rng.standard_normal((n, dim)).astype(np.float32)
    if kind == "offset":
        return x + 1000
    if kind == "one large":
        x[n // 2] *= 1e6
    if kind == "norms":
        return x * rng.lognormal(0, 3, (n, 1)).astype(np.float32)
    if kind == "column":
        x[:, 0] *= 1e5
    if kind == "near":
        return x[:1] + 1e-3 * x
    if kind == "equal":
        x[:] = x[0]
    if kind == "zeros":
        x[::2] = 0
    if kind == "largest":  # norms that an index still takes, rows on two opposite sides
        x[:, 0] += np.where(np.arange(n) % 70 == 0, -20, 20)
        return x * np.float32(9e18 / np.linalg.norm(x, axis=1).max())
    return x * {"tiny": 1e-18, "huge": 1e17}.get(kind, 1)


KINDS = ["plain", "offset", "one large", "norms", "column", "near", "equal", "zeros", "tiny", "huge", "largest"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("element", "dim"), [("f32", 16), ("f32", 40), ("f32", 130), ("bf16", 70)])
def test_a_large_batch_finds_what_single_queries_find(rng, kind, metric, element, dim):
    x = hard_rows(rng, kind, 3000, dim)
    index = ak.Flat(codec=ak.Raw(element), metric=metric).add(x)
    q = np.concatenate([x[:70], hard_rows(rng, kind, 60, dim)])
    q[3] = 0
    single = [index.search(one, k=10) for one in q]
    wanted = [np.concatenate([getattr(answer, part) for answer in single]) for part in ("distances", "ids")]
    for threads in (1, 2):
        assert_same(index.search(q, k=10, threads=threads), wanted)
    radius = float(np.median(wanted[0]))
    lims, *found = index.range_search(q, radius)
    for i in (0, 3, 100):
        one = index.range_search(q[i], radius)
        assert_same([part[lims[i] : lims[i + 1]] for part in found], one[1:])
    mask = rng.random(3000) < 0.2
    one = index.search(q[7], k=10, filter=mask)
    assert_same([part[7:8] for part in index.search(q, k=10, filter=mask)], one)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("element", ["f32", "bf16", "u8"])
@pytest.mark.parametrize("nq", [1, 4, 40])
def test_filters_leave_only_what_they_name(rng, element, metric, nq):
    x, ids = data(rng, element, 1500, 12), np.sort(rng.choice(4000, 1500, replace=False))
    index = ak.Flat(codec=ak.Raw(element), metric=metric).add(x, ids=ids)
    q, kept = data(rng, element, nq, 12), round_to(x, element)
    table, tolerance = distances(q, kept, metric), tolerance_of(q, kept, metric)
    masks = rng.random((nq, 4000)) < rng.choice([0, 0.001, 0.1, 0.9], (nq, 1))
    one = masks[-1] | (np.arange(4000) % 5 == 0)
    for shared in (one, np.flatnonzero(one), np.flatnonzero(one).astype(np.uint16)):
        assert_nearest(index.search(q, k=9, filter=shared), table, ids, metric, tolerance, one[ids])
    as_lists = [mask if i % 2 else np.flatnonzero(mask) for i, mask in enumerate(masks)]
    assert_nearest(index.search(q, k=9, filter=as_lists), table, ids, metric, tolerance, masks[:, ids])
    for nothing in (np.array([], np.int64), [], ()):
        assert (index.search(q, k=2, filter=nothing).ids == -1).all()
    assert_same(index.search(q, k=9, filter=list(one)), index.search(q, k=9, filter=one))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("element", ["f32", "f16", "i8"])
@pytest.mark.parametrize("nq", [1, 5, 50])
def test_range_search_includes_the_border(rng, element, metric, nq):
    x = small_integers(rng, 800, 6).astype(np.int8 if element == "i8" else np.float32)
    q, ids = x[:nq], rng.permutation(800)
    index = ak.Flat(codec=ak.Raw(element), metric=metric).add(x, ids=ids)
    table = distances(q, x, metric).astype(np.float32)
    for radius in (0.0, 2.0, 3.0, -1.0):
        radius += 1e-4 if metric == "cosine" else 0.0
        within = table >= radius if metric == "ip" else table <= radius
        lims, found, found_ids = index.range_search(q, radius)
        np.testing.assert_array_equal(lims, np.concatenate([[0], np.cumsum(within.sum(axis=1))]))
        for i in range(nq):
            wanted = nearest(table[i : i + 1], ids, max(within[i].sum(), 1), metric, within[i])
            part = slice(lims[i], lims[i + 1])
            if metric == "cosine":
                assert set(found_ids[part]) == set(wanted[1][0][: within[i].sum()])
                np.testing.assert_allclose(found[part], wanted[0][0][: within[i].sum()], atol=1e-6)
            else:
                assert_same((found[part], found_ids[part]), [a[0][: within[i].sum()] for a in wanted])


def test_removed_rows_are_gone_and_can_come_back(rng):
    x, q = small_integers(rng, 600, 4), small_integers(rng, 30, 4)
    index, ids = ak.Flat().add(x), np.arange(600)
    for gone in ([5], [0, 599, 7, 7], np.arange(100, 180), np.arange(200, 590)):
        index.remove(gone)
        ids = np.setdiff1d(ids, gone)
        assert len(index) == len(ids)
        assert set(index.ids) == set(ids)
        for nq in (1, 30):
            assert_same(index.search(q[:nq], k=8), nearest(distances(q[:nq], x[ids], "l2"), ids, 8, "l2"))
    index.compact()
    index.add(-x[:10], ids=np.arange(100, 110))
    index.add(x[:2])  # default ids count on from the largest ever used
    ids = np.concatenate([ids, np.arange(100, 110), [600, 601]])
    rows = np.concatenate([x[ids[:-12]], -x[:10], x[:2]])
    assert_same(index.search(q, k=8), nearest(distances(q, rows, "l2"), ids, 8, "l2"))
    index.remove(ids)
    assert len(index) == 0
    assert (index.search(q, k=3).ids == -1).all()


def test_replace_puts_new_rows_in_place_of_old_ones(rng):
    x = small_integers(rng, 50, 4)
    index = ak.Flat().add(x[:40])
    index.add(x[40:], ids=[3, 4, 5, 100, 101, 102, 103, 104, 105, 39], replace=True)
    assert len(index) == 46
    np.testing.assert_array_equal(index.reconstruct([4, 39, 0, 104]), x[[41, 49, 0, 47]])


@pytest.mark.parametrize("element", FLOATS + BYTES)
def test_reconstruct_gives_the_rows_that_are_kept(rng, element):
    x = data(rng, element, 90, 19)
    index = ak.Flat(codec=ak.Raw(element), metric="cosine").add(x)
    got = index.reconstruct([89, 0, 45, 45])
    assert got.dtype == (x.dtype if element in BYTES else np.float32)
    np.testing.assert_array_equal(got, round_to(x, element)[[89, 0, 45, 45]])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("make", [lambda: ak.Flat(), lambda: ak.Flat(codec=ak.Raw("u8")), lambda: ak.Flat(scan="sq8")])
def test_too_few_rows_are_padded(rng, make, metric):
    codec, scan = (ak.Raw("u8"), None) if "u8" in repr(make()) else (None, "sq8" if "sq8" in repr(make()) else None)
    index = ak.Flat(codec=codec, metric=metric, scan=scan)
    q = rng.integers(0, 9, (5, 4)).astype(np.uint8 if codec else np.float32)
    pad = -np.inf if metric == "ip" else np.inf
    for n in (0, 3):
        if n:
            index.add(q[:3])
        for nq in (1, 5):
            got = index.search(q[:nq], k=7)
            assert got.distances.shape == got.ids.shape == (nq, 7)
            assert (got.ids[:, n:] == -1).all()
            assert (got.distances[:, n:] == pad).all()
            assert (np.sort(got.ids[:, :n]) == np.arange(n)).all()
    assert index.search(q[:0], k=2).ids.shape == (0, 2)


@pytest.mark.parametrize("codec", ["f32", "f16", "bf16", "u8", "i8"])
@pytest.mark.parametrize("options", [{}, {"metric": "cosine"}])
def test_every_way_of_storing_answers_the_same(rng, tmp_path, codec, options):
    x, q = data(rng, codec, 1000, 21), data(rng, codec, 20, 21)
    index = ak.Flat(codec=ak.Raw(codec), **options).add(x, ids=rng.permutation(1000) + 5)
    index.remove(index.ids[:100])
    path, expected = tmp_path / "index.ak", index.search(q, k=5)
    index.save(path)
    file = io.BytesIO()
    index.save(file)
    assert file.getvalue() == index.to_bytes() == path.read_bytes()
    file.seek(0)
    copies = [ak.load(path), ak.load(str(path), mmap=True), ak.load(file), ak.Index.from_bytes(index.to_bytes())]
    copies += [pickle.loads(pickle.dumps(index)), copy.copy(index), copy.deepcopy(index)]
    for other in copies:
        assert_same(other.search(q, k=5), expected)
        assert (repr(other), len(other), other.dim) == (repr(index), 900, 21)
        np.testing.assert_array_equal(other.reconstruct(index.ids[:3]), index.reconstruct(index.ids[:3]))
    with pytest.raises(ValueError, match="mmap"):
        copies[1].add(x[:1])
    copies[0].add(x[:1], ids=[9999])
    assert len(index) == 900


def test_progress_counts_to_the_end(rng, capsys):
    calls = []
    index = ak.Flat().add(rng.random((3000, 4), np.float32), progress=lambda *call: calls.append(call))
    assert calls[-1] == (3000, 3000)
    assert calls == sorted(calls)
    pytest.importorskip("tqdm")
    index.add(np.zeros((10, 4), np.float32), progress=True)
    assert "10" in capsys.readouterr().err


def test_faiss_finds_the_same(rng):
    faiss = pytest.importorskip("faiss")
    x, q = small_integers(rng, 5000, 24), small_integers(rng, 50, 24)
    for metric, peer in (("l2", faiss.IndexFlatL2(24)), ("ip", faiss.IndexFlatIP(24))):
        peer.add(x)
        np.testing.assert_array_equal(ak.Flat(metric=metric).add(x).search(q, k=9).distances, peer.search(q, 9)[0])


@pytest.mark.parametrize("stem", ["sift-caltech-128", "fashion-mnist-784", "w2v-enwiki-100"])
def test_real_data(real_data, stem):
    x, q = (np.load(real_data / f"{stem}.{part}.npy", mmap_mode="r") for part in ("base", "query"))
    x, q = np.array(x[:20000]), np.array(q[:40])
    index = ak.Flat(codec=ak.Raw("u8" if x.dtype == np.uint8 else "f32")).add(x)
    assert_nearest(index.search(q, k=10), distances(q, x, "l2"), np.arange(len(x)), "l2", tolerance_of(q, x, "l2"))


@pytest.mark.parametrize(
    "index",
    [
        ak.Flat(codec=ak.PQ(8, bits=6)),
        ak.IVF(lists=16, codec=ak.PQ(8)),
        ak.Pipeline(ak.OPQ(4), ak.Flat(codec=ak.SQ(8))),
        ak.Refine(ak.IVF(lists=16, codec=ak.SQ(8)), codec=ak.Raw("f16")),
    ],
    ids=repr,
)
def test_progress_of_fit_rises_to_the_end(rng, index):
    seen = []
    index.fit(rng.random((20_000, 32), np.float32), progress=lambda *call: seen.append(call))
    assert seen == sorted(set(seen))
    assert seen[-1] == (20_000, 20_000)
