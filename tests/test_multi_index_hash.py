"""Multi-index hashing gives what looking at every code gives."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest
from truth import assert_same, hamming, nearest

import annkit as ak

# So many codes that tables pay for near queries, and scans for far ones.
N = 30_000


def skewed(rng, n, width, flips=0.04):
    """Return codes around centers of unlike weights: some bits go together or never change, some codes are equal."""
    centers = rng.integers(0, 2, (max(n // 20, 1), 8 * width))
    bits = centers[(rng.random(n) ** 3 * len(centers)).astype(int)]
    bits ^= rng.random(bits.shape) < flips
    bits[:, 1::4] = bits[:, ::4]
    bits[:, 2::8] = 1
    bits[n // 2 : n // 2 + n // 50] = bits[0]
    return np.packbits(bits, axis=1)


def flat():
    return ak.Flat(codec=ak.Bits(), metric="hamming")


def queries_of(rng, codes, n=80):
    """Return codes with few and with many bits changed, and codes of chance."""
    q = np.unpackbits(codes[rng.integers(0, len(codes), n)], axis=1)
    q ^= rng.random(q.shape) < rng.choice([0, 0.02, 0.1, 0.5], (n, 1))
    return np.packbits(q, axis=1)


@pytest.mark.parametrize("width", [1, 3, 4, 8, 9, 16, 32, 128])
def test_answers_are_those_of_flat(rng, width):
    codes = skewed(rng, N, width)
    ids = rng.permutation(3 * N)[:N]
    queries = queries_of(rng, codes)
    for given in (None, ids):
        index, peer = ak.MultiIndexHash().add(codes, ids=given), flat().add(codes, ids=given)
        assert index.tables >= width * 8 / 20
        for q in (queries, queries[:1], queries[5:8]):
            for k in (1, 10, 200):
                assert_same(index.search(q, k=k), peer.search(q, k=k))
            for radius in (-1, 0, 1, 2.5, 6, 8 * width // 3):
                assert_same(index.range_search(q, radius), peer.range_search(q, radius))
    assert_same(index.search(queries[:9], k=7), nearest(hamming(queries[:9], codes), ids, 7, "hamming"))


def test_uniform_codes_and_codes_that_are_all_equal(rng):
    for codes in (rng.integers(0, 256, (N, 8)).astype(np.uint8), np.full((N, 8), 77, np.uint8)):
        index, peer = ak.MultiIndexHash().add(codes), flat().add(codes)
        q = queries_of(rng, codes, 20)
        assert_same(index.search(q, k=12), peer.search(q, k=12))
        assert_same(index.range_search(q, 5), peer.range_search(q, 5))


@pytest.mark.parametrize("tables", [3, 4, 7, 64])
def test_any_number_of_tables_finds_the_same(rng, tables):
    codes = skewed(rng, N, 8)
    q = queries_of(rng, codes)
    index = ak.MultiIndexHash(tables=tables).add(codes)
    assert index.tables == tables
    assert repr(index) == f"MultiIndexHash(tables={tables})"
    assert repr(index.codec) == "Bits()"
    assert_same(index.search(q, k=10), flat().add(codes).search(q, k=10))
    assert_same(index.range_search(q, 4), flat().add(codes).range_search(q, 4))


SIGNS = {
    "zero": lambda rng: (ak.SignBits(), ()),
    "median": lambda rng: (ak.SignBits("median"), ()),
    "itq": lambda rng: (ak.SignBits(), (ak.ITQ(30),)),
    "hyperplanes": lambda rng: (ak.SignBits("median"), (ak.Center(), ak.Projection(100))),
}


@pytest.mark.parametrize("name", SIGNS)
def test_floats_are_found_by_their_signs_as_by_flat(rng, tmp_path, name):
    centers = rng.standard_normal((200, 42))
    x = (centers[rng.integers(0, 200, N)] + 0.3 * rng.standard_normal((N, 42))).astype(np.float32)
    x[N // 2 : N // 2 + 50] = x[0]
    q = x[::999] + 0.1 * rng.standard_normal((len(x[::999]), 42)).astype(np.float32)
    ids = rng.permutation(3 * N)[:N]
    codec, transforms = SIGNS[name](rng)

    def behind(index):
        return (ak.Pipeline(*transforms, index) if transforms else index).fit(x, seed=1).add(x, ids=ids)

    index, peer = behind(ak.MultiIndexHash(codec=codec)), behind(ak.Flat(codec=codec, metric="hamming"))
    index.save(tmp_path / "index.ak")
    for one in (index, ak.load(tmp_path / "index.ak"), ak.load(tmp_path / "index.ak", mmap=True), copy.copy(index)):
        assert repr(one) == repr(index)
        assert one.search(q).distances.dtype == np.int32
        assert_same(one.search(q, k=10), peer.search(q, k=10))
        assert_same(one.search(q[3], k=10), peer.search(q[3], k=10))
        assert_same(one.range_search(q, 6), peer.range_search(q, 6))
    if not transforms:
        np.testing.assert_array_equal(index.reconstruct(ids[:9]), peer.reconstruct(ids[:9]))
        assert index.dim == 42
    for one in (index, peer):
        one.remove(ids[:100]).add(x[:100] + 1, ids=ids[100:200], replace=True)
    assert_same(index.search(q, k=10), peer.search(q, k=10))


def test_signs_that_are_not_learned_or_do_not_fit_are_refused(rng):
    x = rng.standard_normal((100, 20)).astype(np.float32)
    index = ak.MultiIndexHash(codec=ak.SignBits("median"))
    with pytest.raises(ak.NotFittedError, match="median"):
        index.add(x)
    index.fit(x)
    assert index.search(x[:1], k=2).ids.tolist() == [[-1, -1]]
    with pytest.raises(ValueError, match="dimension 19"):
        index.add(x[:, 1:])
    with pytest.raises(ValueError, match="fit wants an empty one"):
        index.add(x).fit(x)
    with pytest.raises(ValueError, match="1032 bits"):
        ak.MultiIndexHash(codec=ak.SignBits()).add(rng.standard_normal((10, 1025)))
    with pytest.raises(TypeError, match="codec is 3"):
        ak.MultiIndexHash(codec=3)
    with pytest.raises(ValueError, match="row 2, column 5"):
        index.add(np.where(np.arange(2000).reshape(100, 20) == 45, np.nan, x))
    assert len(index) == 100


def test_filters_leave_only_what_they_name(rng):
    codes, ids = skewed(rng, N, 8), rng.permutation(N)
    index, peer = ak.MultiIndexHash().add(codes, ids=ids), flat().add(codes, ids=ids)
    q = queries_of(rng, codes, 20)
    masks = rng.random((20, N)) < rng.choice([0, 0.001, 0.3, 1], (20, 1))
    for given in (masks[3], np.flatnonzero(masks[3]), list(masks)):
        assert_same(index.search(q, k=6, filter=given), peer.search(q, k=6, filter=given))
        assert_same(index.range_search(q, 5, filter=given), peer.range_search(q, 5, filter=given))


def test_threads_and_batches_change_nothing(rng):
    codes = skewed(rng, N, 8)
    index = ak.MultiIndexHash().add(codes, threads=1)
    assert index.to_bytes() == ak.MultiIndexHash().add(codes, threads=3).to_bytes()
    q = queries_of(rng, codes)
    whole, near = index.search(q, threads=1), index.range_search(q, 6, threads=1)
    assert_same(index.search(q, threads=3), whole)
    assert_same(index.range_search(q, 6, threads=3), near)
    assert_same([np.concatenate(part) for part in zip(*(index.search(one) for one in q), strict=True)], whole)


def test_rows_come_and_go(rng):
    codes = skewed(rng, 2 * N, 8)
    q = queries_of(rng, codes)
    index, peer = ak.MultiIndexHash(), flat()

    def both(change):
        change(index)
        change(peer)
        assert len(index) == len(peer)
        assert_same(index.search(q, k=9), peer.search(q, k=9))
        assert_same(index.range_search(q, 4), peer.range_search(q, 4))
        np.testing.assert_array_equal(index.reconstruct(index.ids[::97]), peer.reconstruct(index.ids[::97]))

    both(lambda one: one.add(codes[:10]))
    assert index.tables == 0
    both(lambda one: one.add(codes[10:N]))
    first = index.memory()["tables"]
    both(lambda one: one.add(codes[N : N + 300]))  # few rows wait beside the tables
    assert index.memory()["tables"] == first
    both(lambda one: one.add(q, ids=np.arange(len(q)) + 100, replace=True))
    both(lambda one: one.remove(np.arange(1000, 3000)))
    both(lambda one: one.add(codes[N + 300 :], ids=np.arange(10 * N, 11 * N - 300)))
    assert index.memory()["tables"] > 1.5 * first
    both(lambda one: one.remove(np.arange(5000, N)))
    both(lambda one: one.compact())
    both(lambda one: one.remove(one.ids[::2]))
    both(lambda one: one.remove(one.ids))
    both(lambda one: one.add(codes[:500]))


def test_every_way_of_storing_answers_the_same(rng, tmp_path):
    codes = skewed(rng, N, 8)
    q = queries_of(rng, codes)
    index = ak.MultiIndexHash().add(codes).add(codes[:200])
    index.remove(np.arange(300))
    index.save(tmp_path / "codes.ak")
    mapped = ak.load(tmp_path / "codes.ak", mmap=True)
    copies = [mapped, ak.load(tmp_path / "codes.ak"), pickle.loads(pickle.dumps(index)), copy.copy(mapped)]
    for other in copies:
        assert other.to_bytes() == index.to_bytes()
        assert sum(other.memory().values()) == other.nbytes
        assert_same(other.search(q, k=5), index.search(q, k=5))
        assert_same(other.range_search(q, 5), index.range_search(q, 5))
    for call in (lambda: mapped.add(codes[:1]), lambda: mapped.remove([500]), mapped.compact):
        with pytest.raises(ValueError, match="mmap"):
            call()
    copies[-1].add(codes[:2000])
    assert_same(
        copies[-1].search(q, k=5),
        flat()
        .add(index.reconstruct(index.ids), ids=index.ids)
        .add(codes[:2000], ids=np.arange(N + 200, N + 2200))
        .search(q, k=5),
    )


def test_memory_is_what_the_documentation_says(rng):
    index = ak.MultiIndexHash().add(skewed(rng, N, 8))
    assert (
        index.memory()["tables"]
        == index.tables * 8 * N
        + sum(4 * (2 ** (64 * (t + 1) // index.tables - 64 * t // index.tables) + 1) for t in range(index.tables))
        + 4 * 64
    )


def test_wrong_codes_and_settings_are_errors_that_change_nothing(rng):
    codes = skewed(rng, 300, 8)
    index = ak.MultiIndexHash().add(codes)
    before = index.to_bytes()
    for call, error, message in (
        (lambda: index.add(codes[:, :4]), ValueError, r"dimension 32.*64"),
        (lambda: index.search(codes[:, :4]), ValueError, r"dimension 32.*64"),
        (lambda: index.add(codes.astype(np.float32)), TypeError, r"float32.*uint8"),
        (lambda: index.add(codes[:2], ids=[7, 7]), ValueError, "twice"),
        (lambda: index.add(codes[:2], ids=[7, 900]), ValueError, "already"),
        (lambda: index.remove([5, 900]), KeyError, "900"),
        (lambda: index.search(codes, nprobe=3), TypeError, "nprobe"),
        (lambda: ak.MultiIndexHash(tables=2).add(codes), ValueError, r"2 tables.*64 bits.*3 to 64"),
        (lambda: ak.MultiIndexHash(tables=65).add(codes), ValueError, r"65 tables.*3 to 64"),
        (lambda: ak.MultiIndexHash(tables=0), ValueError, "tables"),
        (lambda: ak.MultiIndexHash().add(np.zeros((2, 129), np.uint8)), ValueError, r"1032 bits.*1024"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert index.to_bytes() == before


def test_faiss_finds_the_same_within_a_radius(rng):
    faiss = pytest.importorskip("faiss")
    codes = skewed(rng, N, 8)
    peer = faiss.IndexBinaryFlat(64)
    peer.add(codes)
    q = queries_of(rng, codes)
    lims, distances, _ = peer.range_search(q, 6)  # Faiss leaves the border out
    got = ak.MultiIndexHash().add(codes).range_search(q, 5)
    np.testing.assert_array_equal(got.lims, lims.astype(np.int64))
    for first, last in itertools.pairwise(lims):
        np.testing.assert_array_equal(got.distances[first:last], np.sort(distances[first:last]))


def assert_pairs(got, i, j, table):
    limits = np.searchsorted(i, np.arange(len(table) + 1))
    assert_same(got, (limits, table[i, j].astype(np.int16), j.astype(np.int32)))
    assert_same([got.i], [i.astype(np.int32)])


@pytest.mark.parametrize("width", [1, 3, 8, 9, 32, 128])
def test_pairs_are_all_pairs_within_the_radius(rng, width):
    codes = skewed(rng, 1500, width)
    codes[1000:] = rng.integers(0, 256, (500, width))
    table = hamming(codes, codes)
    for radius in (0, 1, 2, 3, 5, 11, 8 * width // 2):
        for threads in (1, 2):
            got = ak.hamming.pairs(codes, radius, threads=threads)
            i, j = np.nonzero(np.triu(table <= radius, 1))
            assert_pairs(got, i, j, table)


def test_pairs_of_many_codes_are_those_of_range_searches(rng):
    codes = skewed(rng, 100_000, 8, flips=0.02)
    codes[::2] = rng.integers(0, 256, (50_000, 8))
    got = ak.hamming.pairs(codes, 3)
    some = rng.choice(len(codes), 100, replace=False)
    lims, *found = ak.hamming.range(codes[some], codes, 3)
    for at, row in enumerate(some):
        own = np.concatenate([got.j[got.i == row], got.i[got.j == row], [row]])
        np.testing.assert_array_equal(np.sort(own), np.sort(found[1][lims[at] : lims[at + 1]]))


@pytest.mark.parametrize("width", [8, 12])
def test_pairs_of_many_equal_codes(rng, width):
    # as of patches without contrast: a few values near each other hold most codes, some are near to those
    values = np.repeat(rng.integers(0, 256, (1, width)), 40, axis=0).astype(np.uint8)
    for _ in range(3):
        values[np.arange(40), rng.integers(0, width, 40)] ^= np.uint8(1) << rng.integers(0, 8, 40).astype(np.uint8)
    shares = 1 / np.arange(1, 41) ** 2
    codes = values[rng.choice(40, 3000, p=shares / shares.sum())]
    codes[::3] = rng.integers(0, 256, codes[::3].shape)
    table = hamming(codes, codes)
    i, j = np.nonzero(np.triu(table <= 3, 1))
    assert len(i) > 500_000
    for threads in (1, 2, 5):
        assert_pairs(ak.hamming.pairs(codes, 3, threads=threads), i, j, table)


def test_pairs_beyond_all_memory_are_counted_before_they_are_found_too_many():
    with pytest.raises(MemoryError):
        ak.hamming.pairs(np.zeros((12_000_000, 1), np.uint8), 1)  # 288 TB of j


def test_pairs_of_few_or_wrong_codes():
    one = np.zeros((1, 8), np.uint8)
    for codes in (one, one[:0]):
        assert [part.size for part in ak.hamming.pairs(codes, 3)] == [len(codes) + 1, 0, 0]
        assert ak.hamming.pairs(codes, 3).i.shape == (0,)
    with pytest.raises(ValueError, match="radius is -1"):
        ak.hamming.pairs(one, -1)
    with pytest.raises(TypeError, match=r"float64.*uint8"):
        ak.hamming.pairs(one.astype(np.float64), 1)
    with pytest.raises(ValueError, match=r"1032 bits.*1024"):
        ak.hamming.pairs(np.zeros((2, 129), np.uint8), 1)
