"""HNSW over long float32 rows, which lie in halves: walks read the upper ones, answers are those of whole floats."""

from __future__ import annotations

import base64
import copy
import zlib

import numpy as np
import pytest
from graph_rows import mixture, truth
from truth import assert_same

import annkit as ak
from annkit.metrics import recall

METRICS = ["l2", "euclidean", "cosine"]
N, DIMS = 3000, [128, 203]


@pytest.fixture(scope="module", params=DIMS)
def rows(request):
    rng = np.random.default_rng(request.param)
    return np.split(mixture(rng, N + 100, request.param, 40), [N])


def graph(x, metric="l2", **settings):
    return ak.HNSW(degree=24, metric=metric).add(x, **settings)


def exact(x, metric="l2", ids=None):
    return ak.Flat(metric=metric).add(x, ids=ids)


def assert_agree(found, wanted, metric):
    """To the bit; for cosine a graph has unit rows, and an exact search their norms."""
    if metric != "cosine":
        return assert_same(found, wanted)
    np.testing.assert_allclose(found.distances, wanted.distances, rtol=1e-5, atol=1e-6)
    return np.testing.assert_array_equal(found.ids, wanted.ids)


def assert_exact_distances(found, q, flat):
    for query, distances, ids in zip(q, found.distances, found.ids, strict=False):
        alone = flat.search(query, k=len(ids), filter=ids)
        if flat.metric == "cosine":
            np.testing.assert_allclose(distances, alone.distances[0], rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(distances, alone.distances[0])


@pytest.mark.parametrize("metric", METRICS)
def test_walks_find_the_nearest_rows_and_their_exact_distances(rows, metric):
    x, q = rows
    index, flat = graph(x, metric), exact(x, metric)
    found = index.search(q, k=10, ef=100)
    assert recall(found.ids, truth(x, q, "l2" if metric == "euclidean" else metric)) > 0.98
    assert_exact_distances(found, q[:30], flat)
    assert_agree(index.search(q, k=10, ef=N), flat.search(q, k=10), metric)


@pytest.mark.parametrize(("metric", "offset"), [("l2", 500), ("euclidean", 500), ("cosine", 100)])
def test_a_large_common_offset_hides_no_row(rows, metric, offset):
    """Upper halves alone could not tell such rows apart: those near the query get exact scores on the way."""
    x, q = ((part / 4 + offset * np.sign(np.sin(np.arange(part.shape[1])))).astype(np.float32) for part in rows)
    found = graph(x, metric).search(q, k=10, ef=60).ids
    assert recall(found, exact(x, metric).search(q, k=10).ids) > 0.9


def test_rows_that_only_lower_halves_tell_apart_are_found(rng):
    """Every row, and the same with one bit of its lower halves turned; the graph has a way to both."""
    x = rng.standard_normal((400, 128)).astype(np.float32)
    twin = x.copy()
    twin.view(np.uint32)[:, 5] ^= 1 << 14
    index = graph(np.concatenate([x, twin]))
    for found, wanted in ((index.search(x, k=2), 0), (index.search(twin, k=2), 400)):
        np.testing.assert_array_equal(found.ids[:, 0], np.arange(400) + wanted)
        assert (found.distances[:, 0] == 0).all()
        np.testing.assert_array_equal(found.ids[:, 1], np.arange(400) + 400 - wanted)


@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e-15, 1e15, 1e17])
def test_rows_of_every_size_come_back_and_are_found(rows, scale):
    x, q = ((part.astype(np.float64) * scale).astype(np.float32) for part in rows)
    index = graph(x)
    np.testing.assert_array_equal(index.reconstruct(np.arange(N)).view(np.uint32), x.view(np.uint32))
    found = index.search(q, k=10, ef=N)
    np.testing.assert_array_equal(found.distances, exact(x).search(q, k=10).distances)


def test_values_at_the_ends_of_the_range_come_back(rng):
    bits = rng.integers(0, 2**32, (300, 130), dtype=np.uint32)
    x = np.where(np.isfinite(bits.view(np.float32)), bits, 0).astype(np.uint32).view(np.float32)
    x[0], x[1] = np.finfo(np.float32).max / 100, 0
    x = np.where(np.abs(x) < 1e17, x, np.float32(-0.0))  # squares that sum up
    x[2] = np.finfo(np.float32).smallest_subnormal
    for metric in METRICS:
        index = graph(x, metric)
        got = index.reconstruct(np.arange(300))
        if metric != "cosine":
            np.testing.assert_array_equal(got.view(np.uint32), x.view(np.uint32))
        found, wanted = index.search(x[:20], k=5, ef=300), exact(x, metric).search(x[:20], k=5)
        np.testing.assert_allclose(found.distances, wanted.distances, rtol=0 if metric != "cosine" else 1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_filters_and_ranges_are_exact_where_whole_rows_are(rows, metric, share):
    x, q = rows
    index, flat = graph(x, metric), exact(x, metric)
    allowed = np.flatnonzero(np.random.default_rng(1).random(N) < share)
    for many in (1, 5, 100):  # one by one, and together in tiles
        found, wanted = (
            one.search(q[:many], k=5, filter=allowed, **more) for one, more in ((index, {"ef": N}), (flat, {}))
        )
        assert_agree(found, wanted, metric)
    radius = float(np.median(flat.search(q, k=20).distances[:, -1]))
    assert_agree(index.range_search(q[:20], radius, ef=N), flat.range_search(q[:20], radius), metric)


@pytest.mark.parametrize(
    ("metric", "scale"), [("l2", 1e-30), ("l2", 1e-15), ("l2", 1e17), ("cosine", 1), ("cosine", 1e-15)]
)
def test_few_allowed_rows_of_any_size_are_all_compared(rows, metric, scale):
    """Among them zeros, and many that only lower halves tell apart; queries are like them, others, and zeros."""
    x, q = ((part.astype(np.float64) * scale).astype(np.float32) for part in rows)
    x[10] = 0
    x[20:120] = x[20] * (1 + np.random.default_rng(5).uniform(0, 1e-3, (100, 1)).astype(np.float32))
    q = np.concatenate([q[:10], q[:10] * np.float32(0.01) + x[20], x[:2], np.zeros_like(q[:1])])
    allowed = np.arange(150)
    index, flat = graph(x, metric), exact(x, metric)
    for k in (1, 10, 149):
        for one in q:
            found, wanted = (each.search(one, k=k, filter=allowed) for each in (index, flat))
            if metric == "l2":
                assert_same(found, wanted)
            np.testing.assert_allclose(found.distances, wanted.distances, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_graphs_are_kept_changed_and_built_by_any_number_of_threads(rows, metric, tmp_path):
    x, q = rows
    index = graph(x[:2000], metric).add(x[2000:], threads=3)
    assert index.to_bytes() == graph(x[:2000], metric, threads=2).add(x[2000:], threads=1).to_bytes()
    assert index.memory()["codes"] >= 4 * x.size
    assert index.memory()["codes"] < 4 * x.size + (4 << 20)
    index.save(tmp_path / "index.ak")
    expected = index.search(q, k=10)
    for other in (ak.load(tmp_path / "index.ak"), ak.load(tmp_path / "index.ak", mmap=True), copy.copy(index)):
        assert_same(other.search(q, k=10), expected)
        assert other.to_bytes() == index.to_bytes()
    gone = np.arange(0, N, 3)
    index.remove(gone)
    index.compact()
    left = np.setdiff1d(np.arange(N), gone)
    flat = exact(x[left], metric, ids=left)
    found = index.search(q, k=10, ef=100)
    assert recall(found.ids, flat.search(q, k=10).ids) > 0.98
    assert_exact_distances(found, q[:30], flat)
    if metric == "l2":
        np.testing.assert_array_equal(index.reconstruct(left), x[left])


# A graph of 12 rows, as it was saved before rows lay in halves.
WHOLE = """
c-res%*)HpEa75gU|^60Vg?olqCkL^zn8df&qA1TMkxJG<N?>Q>6?o<S+X<pQkc+WCrV$)d$v@{my<0wwWKIBnGsFiS8boFX1d;V
Hnx=1^rF;Mba|f_Q?H3gYb|BtNKK1RD$UGEL07TA{L`0z2X9-lF{fnaGNVayuqKPGp3C-ulPfttB{f+e<V18e;Y>IDkC{JYhN&s3
EWmJvhsTxM9E?|vu(1^7mlvbUvi?*QO_+JUjEy}fu_!&YxP$>sL125JfAJqqS2pI%lww?x%<M&}x%p+ODXeG;3^LZ-v$i?O&dHTt
lvt2~)f2n2CZ6<HbNR;115uNcSeaT>%#EgsA@AS&>a;saoPtQI48R8RKvlq^w=?{v!C!&8BxWHLr8${-*~A%Zh~iF|u{Brw-h{8d
G6%(2Lx{2Heu}jC_Uf!m*&Jq6V?i;1Qz@#kNvS#c<wUvG2<%!$G}l^~IJ+|KFxZV^tP#YuxDo*~s<GJ8%k&J(`Yf(w2Q*{Bu7$+|
2Q(-7RV$V1YD~Gtz@D6+Q<|G+fF4ndeyu`luWoIJDKI3Ek2CU$%NZyDIYtZ=0T#-%GjLF-zllQqMTryzA48fkWdX=Tq5HWh)DKRw
6uO@oIXjYLe>^zLkfom;lvg44Hvsck128=`utCyg!+#*)gt)JP9m?l|sBhqe^0^`E!E6v<fcl3ED#il!8?yX=B*2KqXF}sMqw!hL
_>}q|<Yz`S_amE+jgOvxIVng-l<KF{|Nqedz4H$f0~G*AgFUbybYS3dZ~(F$7`PSy*#{g(<woU3<woU3<woU3<woU3<woU3<woU3
<woU3<woU3<woU3<woU3<woU3<woVO$`Jq;XP$F8S9Q%raMlHviL<V_6wSKqV*Bf&%coh_U9ib9P#FLKgq&Wv
"""


def test_older_files_load_and_keep_whole_rows():
    data = zlib.decompress(base64.b85decode(WHOLE.replace("\n", "")))
    x = (np.arange(12 * 130).reshape(12, 130) % 7 * (1 + 2**-12)).astype(np.float32)
    index = ak.Index.from_bytes(data)
    np.testing.assert_array_equal(index.reconstruct(np.arange(12)), x)
    assert index.to_bytes() == data
    more = np.random.default_rng(0).standard_normal((500, 130)).astype(np.float32)
    index.add(more)
    again = ak.Index.from_bytes(index.to_bytes())
    for one in (index, again):
        np.testing.assert_array_equal(one.reconstruct(np.arange(512)), np.concatenate([x, more]))
        assert_same(one.search(more[:20], k=5, ef=512), exact(np.concatenate([x, more])).search(more[:20], k=5))
