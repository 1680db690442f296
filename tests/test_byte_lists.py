"""Lists of bytes: IVF over Raw("u8") and Raw("i8"), by every metric."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from truth import assert_same, distances, nearest

import annkit as ak

N, LISTS = 1200, 12
METRICS = ["l2", "euclidean", "ip", "cosine"]
few_rows = pytest.mark.filterwarnings("ignore:got .* rows to train")
both = pytest.mark.parametrize("element", ["u8", "i8"])
every_metric = pytest.mark.parametrize("metric", METRICS)


def clustered(rng, element, n, dim=20):
    """Return bytes around centers; some are equal, one is zero, some are as large as bytes are."""
    low, kind = (0, np.uint8) if element == "u8" else (-128, np.int8)
    centers = np.random.default_rng(1).integers(low, low + 256, (15, dim))
    x = centers[rng.integers(0, len(centers), n)] + rng.normal(0, 20, (n, dim))
    x = x.round().clip(low, low + 255).astype(kind)
    x[: n // 20], x[n // 2], x[n // 3] = low + 255, x[-1], 0
    return x


def lists(element, metric="l2", n=LISTS, **options):
    return ak.IVF(lists=n, codec=ak.Raw(element), metric=metric, **options)


def flat(element, metric="l2"):
    return ak.Flat(codec=ak.Raw(element), metric=metric)


# Up to 258 dimensions tiles give the scores themselves, beyond that bounds of them.
@few_rows
@both
@every_metric
@pytest.mark.parametrize("dim", [1, 5, 128, 258, 259, 784])
def test_every_list_gives_what_flat_gives(rng, element, metric, dim):
    x, queries, ids = clustered(rng, element, N, dim), clustered(rng, element, 90, dim), rng.permutation(3 * N)[:N]
    queries[3], queries[4] = 0, x[0]
    index = lists(element, metric).fit(x).add(x, ids=ids)
    peer = flat(element, metric).add(x, ids=ids)
    for q in (queries, queries[:1], queries[3:6], queries[:17]):
        for k in (1, 10, 100, N + 1):
            assert_same(index.search(q, k=k, nprobe=LISTS), peer.search(q, k=k))
    for radius in peer.search(queries[:1], k=N).distances[0, [0, N // 10, N // 2, -1]]:
        for q in (queries[:1], queries):
            assert_same(index.range_search(q, radius, nprobe=LISTS), peer.range_search(q, radius))
    if metric in ("l2", "ip") and dim <= 258:
        wanted = nearest(distances(queries, x, metric), ids, 7, metric)
        assert_same(index.search(queries, k=7, nprobe=LISTS), wanted)


@few_rows
def test_sums_beyond_32_bits(rng):
    x = rng.integers(0, 256, (40, 33_000), dtype=np.uint8)
    index, peer = lists("u8", n=2).fit(x).add(x), flat("u8").add(x)
    assert_same(index.search(x[:9], k=5, nprobe=2), peer.search(x[:9], k=5))


@both
@every_metric
def test_lists_are_those_of_the_same_rows_as_floats(rng, element, metric):
    x, queries = clustered(rng, element, N), clustered(rng, element, 60)
    index = lists(element, metric).fit(x).add(x)
    floats = ak.IVF(lists=LISTS, metric=metric).fit(x.astype(np.float32)).add(x.astype(np.float32))
    for nprobe in (1, 3):
        got, wanted = index.search(queries, k=N, nprobe=nprobe), floats.search(queries, k=N, nprobe=nprobe)
        np.testing.assert_array_equal(np.sort(got.ids), np.sort(wanted.ids))
    if metric != "ip":
        got, wanted = (one.search(queries, k=N, nprobe=9, spread=1.1) for one in (index, floats))
        np.testing.assert_array_equal(np.sort(got.ids), np.sort(wanted.ids))


@both
@every_metric
def test_one_query_a_batch_and_threads_agree(rng, element, metric):
    x, queries = clustered(rng, element, 5000), clustered(rng, element, 300)
    index = lists(element, metric).fit(x, threads=1).add(x, threads=1)
    assert lists(element, metric).fit(x, threads=2).add(x, threads=2).to_bytes() == index.to_bytes()
    for nprobe in (1, 3, 9):
        together = index.search(queries, k=9, nprobe=nprobe, threads=1)
        assert_same(index.search(queries, k=9, nprobe=nprobe, threads=2), together)
        one_by_one = [index.search(q, k=9, nprobe=nprobe) for q in queries]
        np.testing.assert_array_equal(np.concatenate([one.ids for one in one_by_one]), together.ids)
        np.testing.assert_array_equal(np.concatenate([one.distances for one in one_by_one]), together.distances)


@both
@every_metric
@pytest.mark.parametrize("nq", [1, 3, 40])
def test_filters_leave_only_what_they_name(rng, element, metric, nq):
    x, ids = clustered(rng, element, N), rng.permutation(N)
    index, peer = lists(element, metric).fit(x).add(x, ids=ids), flat(element, metric).add(x, ids=ids)
    q = clustered(rng, element, nq)
    masks = rng.random((nq, N)) < rng.choice([0, 0.001, 0.3, 1], (nq, 1))
    radius = peer.search(q[:1], k=N // 3).distances[0, -1]
    for given in (masks[0], np.flatnonzero(masks[0]), list(masks)):
        assert_same(index.search(q, k=12, filter=given, nprobe=LISTS), peer.search(q, k=12, filter=given))
        got = index.range_search(q, radius, filter=given, nprobe=LISTS)
        assert_same(got, peer.range_search(q, radius, filter=given))


@both
@every_metric
def test_changes_and_files_keep_what_there_is(rng, tmp_path, element, metric):
    x, queries = clustered(rng, element, N), clustered(rng, element, 50)
    index, peer = lists(element, metric).fit(x), flat(element, metric)
    for one in (index, peer):
        one.add(x)
        one.remove(np.arange(0, N, 3))
        one.add(x[:500], ids=np.arange(10_000, 10_500))
        one.add(x[1000:1100], ids=np.arange(1, 101) * 3 - 2, replace=True)
        one.remove(np.arange(10_000, 10_100))
    index.compact()
    assert len(index) == len(peer)
    rows = index.reconstruct([1, 10_200])
    assert rows.dtype == x.dtype
    np.testing.assert_array_equal(rows, x[[1000, 200]])
    wanted = peer.search(queries, k=11)
    path = tmp_path / "lists.ak"
    index.save(path)
    mapped = ak.load(path, mmap=True)
    for one in (index, mapped, ak.load(path), pickle.loads(pickle.dumps(index)), copy.copy(index)):
        assert repr(one) == f'IVF(lists={LISTS}, codec=Raw("{element}"), metric="{metric}")'
        assert_same(one.search(queries, k=11, nprobe=LISTS), wanted)
        assert one.to_bytes() == index.to_bytes()
    with pytest.raises(ValueError, match="mmap"):
        mapped.remove([1])


@every_metric
def test_memory_is_that_of_the_bytes(rng, metric):
    x = rng.integers(0, 256, (20_000, 64), dtype=np.uint8)
    entries = lists("u8", metric, 64).fit(x).add(x).memory()
    assert 64 * len(x) <= entries["codes"] <= 1.1 * 64 * len(x)
    assert 4 * len(x) <= entries["factors"] <= 1.1 * 4 * len(x)


@both
@every_metric
def test_a_graph_finds_the_lists(rng, element, metric):
    x, queries = clustered(rng, element, N), clustered(rng, element, 60)
    index = lists(element, metric, coarse=ak.HNSW(degree=16, metric=metric)).fit(x).add(x)
    peer = flat(element, metric).add(x)
    for q in (queries, queries[0]):
        assert_same(index.search(q, k=6, nprobe=LISTS, ef=200), peer.search(q, k=6))
    assert ak.Index.from_bytes(index.to_bytes()).to_bytes() == index.to_bytes()


@both
def test_within_refine_and_behind_it(rng, element):
    x, queries = clustered(rng, element, N), clustered(rng, element, 60)
    wanted = flat(element).add(x).search(queries, k=8)
    for index in (
        ak.Refine(lists(element), codec=ak.Raw(element)),
        ak.Refine(ak.IVF(lists=LISTS, codec=ak.SQ(4)), codec=ak.Raw(element), k_factor=1e6),
    ):
        got = index.fit(x).add(x).search(queries, k=8, nprobe=LISTS)
        assert_same(got, wanted)
        np.testing.assert_array_equal(index.reconstruct([5, 7]), x[[5, 7]])


def test_tune_finds_a_setting(rng):
    x = clustered(rng, "u8", 5000)
    index = lists("u8", n=40).fit(x).add(x)
    queries = clustered(rng, "u8", 200)
    truth = flat("u8").add(x).search(queries, k=10).ids
    found = ak.tune(index, queries, truth, recall=0.9)
    assert found.recall >= 0.9


@few_rows
def test_what_does_not_fit_is_refused(rng):
    x = clustered(rng, "u8", 200)
    index = lists("u8", n=4)
    with pytest.raises(ak.NotFittedError):
        index.add(x)
    for wrong in (x.astype(np.float32), x.astype(np.int8)):
        with pytest.raises(TypeError, match="expects uint8"):
            index.fit(wrong)
    index.fit(x)
    with pytest.raises(TypeError, match="expects uint8"):
        index.add(x.astype(np.float32))
    with pytest.raises(TypeError, match="expects uint8"):
        index.search(x.astype(np.float32), k=1)
    with pytest.raises(ValueError, match="keeps rows as they are"):
        lists("u8", residual=True)
    with pytest.raises(ValueError, match="metric"):
        lists("u8", "hamming")
    assert repr(lists("u8", residual=False)) == f'IVF(lists={LISTS}, codec=Raw("u8"), metric="l2")'


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("word", "element"), [("SQ8_direct", "u8"), ("SQ8_direct_signed", "i8")])
def test_strings_name_lists_of_bytes_both_ways(word, element, metric):
    made = ak.index(f"IVF100,{word}", metric=metric)
    assert repr(made) == f'IVF(lists=100, codec=Raw("{element}"), metric="{metric}")'
    assert made.factory == f"IVF100,{word}"
    graph = ak.index(f"IVF64_HNSW16,{word},Refine({word})", metric=metric)
    assert graph.factory == f"IVF64_HNSW16,{word},Refine({word})"


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_recall_is_that_of_faiss(rng, metric):
    faiss = pytest.importorskip("faiss")
    x, queries = clustered(rng, "u8", 6000, 32), clustered(rng, "u8", 300, 32)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    peer = faiss.index_factory(32, "IVF64,SQ8_direct", kind)
    peer.by_residual = False  # what is left beyond a centroid does not fit a byte
    peer.train(x.astype(np.float32))
    peer.add(x.astype(np.float32))
    peer.nprobe = 4
    index = lists("u8", metric, 64).fit(x, seed=1).add(x)
    exact = flat("u8", metric).add(x).search(queries, k=10).distances[:, -1:]

    def recall(distances):
        return (distances >= exact).mean() if metric == "ip" else (distances <= exact).mean()

    own = recall(index.search(queries, k=10, nprobe=4).distances)
    assert own > recall(peer.search(queries.astype(np.float32), 10)[0]) - 0.05
    assert own > 0.3
