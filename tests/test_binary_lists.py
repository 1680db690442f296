"""Lists of packed bits: IVF over Bits and SignBits, by Hamming distance."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from truth import assert_same, hamming, nearest

import annkit as ak

N, LISTS = 4000, 24
few_rows = pytest.mark.filterwarnings("ignore:got .* rows to train")


def clustered(rng, n, width, flips=0.12):
    """Return codes around centers: many ties, and some codes that are equal."""
    centers = np.random.default_rng(1).integers(0, 2, (30, 8 * width))
    bits = centers[rng.integers(0, len(centers), n)] ^ (rng.random((n, 8 * width)) < flips)
    bits[: n // 20] = bits[0]
    return np.packbits(bits, axis=1)


def lists(n=LISTS, **options):
    return ak.IVF(lists=n, codec=ak.Bits(), metric="hamming", **options)


def flat():
    return ak.Flat(codec=ak.Bits(), metric="hamming")


@pytest.mark.parametrize("width", [1, 3, 8, 9, 16, 32, 128])
def test_every_list_gives_what_flat_gives(rng, width):
    codes, ids = clustered(rng, N, width), rng.permutation(3 * N)[:N]
    queries = clustered(rng, 90, width, 0.3)
    for given in (None, ids):
        index, peer = lists().fit(codes).add(codes, ids=given), flat().add(codes, ids=given)
        for q in (queries, queries[:1], queries[5:8]):
            for k in (1, 10, 100, N + 1):
                got = index.search(q, k=k, nprobe=LISTS)
                assert got.distances.dtype == np.int32
                assert_same(got, peer.search(q, k=k))
            for radius in (-1, 0, 2.5, 8 * width // 4, 8 * width):
                assert_same(index.range_search(q, radius, nprobe=LISTS), peer.range_search(q, radius))
        wanted = nearest(hamming(queries, codes), np.arange(N) if given is None else ids, 7, "hamming")
        assert_same(index.search(queries, k=7, nprobe=LISTS), wanted)


def stored_order(index, centers):
    """Return the centers in the order in which they stand in the index's file."""
    data = np.frombuffer(index.to_bytes(), np.uint8)
    ordered = np.unique(centers, axis=0)
    for at in range(0, len(data) - centers.size, 64):
        there = data[at : at + centers.size].reshape(centers.shape)
        if np.array_equal(np.unique(there, axis=0), ordered):
            return there
    raise AssertionError("the centers are not in the file")


@few_rows
@pytest.mark.parametrize("width", [2, 8])
def test_rows_go_to_and_queries_visit_the_nearest_lists_lower_numbers_first(rng, width):
    codes, queries = clustered(rng, N, width), clustered(rng, 100, width, 0.3)
    centers = np.unique(clustered(rng, 500, width, 0.2), axis=0)[:64]
    # k-means of as many rows as lists begins with all of them, and ends there.
    index = lists(64).fit(centers).add(codes)
    centers = stored_order(index, centers)
    home = hamming(codes, centers).argmin(axis=1)
    order = np.argsort(hamming(queries, centers), axis=1, kind="stable")
    table = hamming(queries, codes)
    for nprobe in (1, 2, 7, 40, 64):
        seen = (home == order[:, :nprobe, None]).any(axis=1)
        for nq in (1, 3, 100):
            wanted = nearest(table[:nq], np.arange(N), 9, "hamming", seen[:nq])
            assert_same(index.search(queries[:nq], k=9, nprobe=nprobe), wanted)


def test_recall_is_that_of_faiss(rng):
    faiss = pytest.importorskip("faiss")
    codes, queries = clustered(rng, 6000, 8, 0.2), clustered(rng, 400, 8, 0.2)
    peer = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, 64)
    peer.train(codes)
    peer.add(codes)
    peer.nprobe = 4
    index = lists(64).fit(codes, seed=1).add(codes)
    kth = flat().add(codes).search(queries, k=10).distances[:, -1:]
    own = (index.search(queries, k=10, nprobe=4).distances <= kth).mean()
    assert own > (peer.search(queries, 10)[0] <= kth).mean() - 0.05
    assert own > 0.5


def test_one_query_a_batch_and_threads_agree(rng):
    codes, queries = clustered(rng, N, 8), clustered(rng, 200, 8, 0.3)
    index = lists().fit(codes, threads=1).add(codes, threads=1)
    assert lists().fit(codes, threads=2).add(codes, threads=2).to_bytes() == index.to_bytes()
    for nprobe in (1, 3, 9):
        together = index.search(queries, k=9, nprobe=nprobe, threads=1)
        assert_same(index.search(queries, k=9, nprobe=nprobe, threads=2), together)
        one_by_one = [index.search(q, k=9, nprobe=nprobe) for q in queries]
        np.testing.assert_array_equal(np.concatenate([one.ids for one in one_by_one]), together.ids)
        ranged = index.range_search(queries, 14, nprobe=nprobe)
        for i, q in enumerate(queries[:20]):
            np.testing.assert_array_equal(
                index.range_search(q, 14, nprobe=nprobe).ids, ranged.ids[ranged.lims[i] : ranged.lims[i + 1]]
            )


@pytest.mark.parametrize("nq", [1, 3, 40])
def test_filters_leave_only_what_they_name(rng, nq):
    codes, ids = clustered(rng, N, 8), rng.permutation(N)
    index, peer = lists().fit(codes).add(codes, ids=ids), flat().add(codes, ids=ids)
    q = clustered(rng, nq, 8, 0.3)
    masks = rng.random((nq, N)) < rng.choice([0, 0.001, 0.3, 1], (nq, 1))
    for given in (masks[0], np.flatnonzero(masks[0]), list(masks)):
        got = index.search(q, k=12, filter=given, nprobe=LISTS)
        assert_same(got, peer.search(q, k=12, filter=given))
        assert_same(index.range_search(q, 20, filter=given, nprobe=LISTS), peer.range_search(q, 20, filter=given))


def test_changes_and_files_keep_what_there_is(rng, tmp_path):
    codes, queries = clustered(rng, N, 8), clustered(rng, 50, 8, 0.3)
    index, peer = lists().fit(codes), flat()
    for one in (index, peer):
        one.add(codes)
        one.remove(np.arange(0, N, 3))
        one.add(codes[:500], ids=np.arange(10_000, 10_500))
        one.add(codes[1000:1100], ids=np.arange(1, 101) * 3 - 2, replace=True)
        one.remove(np.arange(10_000, 10_100))
    index.compact()
    assert len(index) == len(peer)
    np.testing.assert_array_equal(index.reconstruct([1, 10_200]), peer.reconstruct([1, 10_200]))
    wanted = peer.search(queries, k=11)
    path = tmp_path / "lists.ak"
    index.save(path)
    mapped = ak.load(path, mmap=True)
    for one in (index, mapped, ak.load(path), pickle.loads(pickle.dumps(index)), copy.copy(index)):
        assert repr(one) == 'IVF(lists=24, codec=Bits(), metric="hamming")'
        assert_same(one.search(queries, k=11, nprobe=LISTS), wanted)
        assert one.to_bytes() == index.to_bytes()
    with pytest.raises(ValueError, match="mmap"):
        mapped.remove([1])


@pytest.mark.parametrize("threshold", ["zero", "median"])
@pytest.mark.parametrize("dim", [5, 21, 64])
def test_sign_bits_of_floats_in_lists(rng, threshold, dim):
    x = rng.standard_normal((N, dim)).astype(np.float32) + 0.3
    index = ak.IVF(lists=LISTS, codec=ak.SignBits(threshold), metric="hamming").fit(x).add(x)
    peer = ak.Flat(codec=ak.SignBits(threshold), metric="hamming").fit(x).add(x)
    limits = np.median(x, axis=0) if threshold == "median" else np.zeros(dim)
    bits = np.packbits(x > limits, axis=1)
    q = x[:60] + rng.standard_normal((60, dim)).astype(np.float32)
    got = index.search(q, k=8, nprobe=LISTS)
    assert_same(got, peer.search(q, k=8))
    assert_same(got, nearest(hamming(np.packbits(q > limits, axis=1), bits), np.arange(N), 8, "hamming"))
    np.testing.assert_array_equal(index.reconstruct([3, 7]), peer.reconstruct([3, 7]))
    assert ak.Index.from_bytes(index.to_bytes()).to_bytes() == index.to_bytes()
    with pytest.raises(ValueError, match="row 1"):
        index.add(np.array([[0.0] * dim, [np.nan] * dim], np.float32))
    assert len(index) == N
    with pytest.raises(ValueError, match="query"):
        index.search(np.full((2, dim), np.inf, np.float32), k=1)


def test_a_graph_finds_the_lists(rng):
    codes, queries = clustered(rng, N, 8), clustered(rng, 60, 8, 0.3)
    x = rng.standard_normal((N, 40)).astype(np.float32)
    graph = ak.HNSW(degree=16, codec=ak.Bits(), metric="hamming")
    index = lists(coarse=graph).fit(codes).add(codes)
    plain = lists().fit(codes).add(codes)
    for q in (queries, queries[0]):
        assert_same(index.search(q, k=6, nprobe=LISTS, ef=200), plain.search(q, k=6, nprobe=LISTS))
    assert ak.Index.from_bytes(index.to_bytes()).to_bytes() == index.to_bytes()
    floats = ak.IVF(lists=LISTS, codec=ak.SignBits(), coarse=graph, metric="hamming").fit(x).add(x)
    peer = ak.Flat(codec=ak.SignBits(), metric="hamming").add(x)
    assert_same(floats.search(x[:9], k=6, nprobe=LISTS, ef=200), peer.search(x[:9], k=6))
    with pytest.raises(ValueError, match="expected HNSW\\(codec=Bits\\(\\)\\)"):
        lists(coarse=ak.HNSW(codec=ak.SignBits(), metric="hamming"))


@few_rows
def test_spread_compares_hamming_distances():
    centers = np.array([[0, 0, 0], [0, 0, 255], [0, 255, 255], [255, 255, 255]], np.uint8)
    index = lists(4).fit(centers).add(centers)
    query = np.array([[0, 0, 0x0F]], np.uint8)  # 4, 4, 12 and 20 bits away
    found = {spread: (index.search(query, k=4, nprobe=4, spread=spread).ids >= 0).sum() for spread in (1, 2.9, 3, 5)}
    assert found == {1: 2, 2.9: 2, 3: 3, 5: 4}


@few_rows
def test_more_lists_than_kinds_of_codes(rng):
    codes = np.repeat(rng.integers(0, 256, (3, 4)).astype(np.uint8), 50, axis=0)
    index, peer = lists(16).fit(codes).add(codes), flat().add(codes)
    assert_same(index.search(codes[::9], k=60, nprobe=16), peer.search(codes[::9], k=60))


@few_rows
def test_what_does_not_fit_is_refused(rng):
    codes = clustered(rng, 200, 4)
    index = lists(8)
    with pytest.raises(ak.NotFittedError):
        index.add(codes)
    with pytest.raises(ValueError, match="8 lists"):
        index.fit(codes[:5])
    index.fit(codes)
    with pytest.raises(ValueError, match="dimension 40"):
        index.add(np.zeros((2, 5), np.uint8))
    with pytest.raises(TypeError, match="float32"):
        index.add(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="metric"):
        ak.IVF(lists=8, codec=ak.Bits())
    with pytest.raises(ValueError, match="metric"):
        ak.IVF(lists=8, codec=ak.SQ(8), metric="hamming")
    with pytest.raises(ValueError, match="residual"):
        lists(8, residual=True)
    assert index.settings == ("nprobe", "spread")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("BIVF64", 'IVF(lists=64, codec=Bits(), metric="hamming")'),
        ("IVF64,LSHt", 'IVF(lists=64, codec=SignBits(threshold="median"), metric="hamming")'),
        (
            "BIVF4k_HNSW16",
            'IVF(lists=4096, codec=Bits(), coarse=HNSW(degree=32, codec=Bits(), metric="hamming"), metric="hamming")',
        ),
        ("ITQ64,IVF16,LSH", 'Pipeline(ITQ(64), IVF(lists=16, codec=SignBits(), metric="hamming"))'),
    ],
)
def test_strings_name_lists_of_bits_both_ways(spec, expected):
    made = ak.index(spec)
    assert repr(made) == expected
    assert repr(ak.index(made.factory)) == expected
    assert ak.index(made.factory).factory == made.factory


@pytest.mark.parametrize(
    ("spec", "metric", "message"),
    [
        ("BIVF64,Flat", "l2", "expected nothing after BIVF64"),
        ("PCA8,BIVF64", "l2", "does not belong there"),
        ("BIVF64", "ip", 'expected "hamming"'),
        ("IVF64,LSH", "cosine", 'expected "hamming"'),
    ],
)
def test_strings_that_do_not_fit_are_refused(spec, metric, message):
    with pytest.raises(ValueError, match=message):
        ak.index(spec, metric=metric)
    with pytest.raises(ValueError, match="12 bits"):
        ak.index("BIVF64", dim=12)
