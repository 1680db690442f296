"""Hamming search over packed codes, with and without an index, against counting unpacked bits."""

from __future__ import annotations

import numpy as np
import pytest
from truth import PAD_COUNT, assert_same, hamming, nearest

import annkit as ak

WIDTHS = [*range(1, 41), 64, 128]
FEW_WIDTHS = [1, 3, 8, 13, 16, 32, 37, 64, 128]
BATCHES = [1, 2, 3, 17, 70]


def codes_of(rng, n, width):
    """Return random codes with some equal ones, one without bits and one of bits alone."""
    codes = rng.integers(0, 256, (n, width)).astype(np.uint8)
    codes[n // 2 :: 7] = codes[0]
    codes[n // 3], codes[n // 4] = 0, 255
    return codes


def bits():
    return ak.Flat(codec=ak.Bits(), metric="hamming")


@pytest.mark.parametrize("width", WIDTHS)
def test_topk_finds_the_nearest_ties_by_position(rng, width):
    codes, queries = codes_of(rng, 900, width), codes_of(rng, 70, width)
    ids, table = np.arange(900), hamming(queries, codes)
    wanted = nearest(table, ids, 120, "hamming")
    index = bits().add(codes)
    assert index.dim == 8 * width
    for nq in BATCHES:
        for k in (1, 10, 120):
            expected = [part[:nq, :k] for part in wanted]
            got = ak.hamming.topk(queries[:nq], codes, k=k)
            assert got.distances.dtype == np.int32
            assert_same(got, expected)
            assert_same(index.search(queries[:nq], k=k), expected)


@pytest.mark.parametrize("width", FEW_WIDTHS)
def test_range_includes_the_border(rng, width):
    codes, queries = codes_of(rng, 700, width), codes_of(rng, 20, width)
    table, index = hamming(queries, codes), bits().add(codes)
    for nq in (1, 20):
        for radius in (-1, 0, int(np.quantile(table, 0.1)), 8 * width):
            within = table[:nq] <= radius
            sizes = within.sum(axis=1)
            wanted = nearest(table[:nq], np.arange(700), 700, "hamming", within)
            expected = [np.concatenate([[0], np.cumsum(sizes)])]
            expected += [np.concatenate([row[:size] for row, size in zip(part, sizes, strict=True)]) for part in wanted]
            assert_same(ak.hamming.range(queries[:nq], codes, radius), expected)
            assert_same(index.range_search(queries[:nq], radius), expected)
    assert ak.hamming.range(queries, codes, 2**40).lims[-1] == 20 * 700


@pytest.mark.parametrize("width", WIDTHS)
def test_pairwise_counts_all_pairs(rng, width):
    a, b = codes_of(rng, 13, width), codes_of(rng, 1100, width)
    got = ak.hamming.pairwise(a, b)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, hamming(a, b))


@pytest.mark.parametrize("width", FEW_WIDTHS)
def test_threads_change_nothing(rng, width):
    codes, queries = codes_of(rng, 12000, width), codes_of(rng, 70, width)
    index = bits().add(codes)
    whole = index.search(queries, k=50, threads=1)
    assert_same(whole[:1], (np.sort(hamming(queries, codes), axis=1)[:, :50],))
    assert_same(index.search(queries, k=50, threads=2), whole)
    assert_same(ak.hamming.topk(queries, codes, k=50, threads=2), whole)
    np.testing.assert_array_equal(
        ak.hamming.pairwise(queries, codes, threads=1), ak.hamming.pairwise(queries, codes, threads=2)
    )
    near = index.range_search(queries, 3 * width, threads=1)
    for _ in range(5):
        assert_same(ak.hamming.range(queries, codes, 3 * width, threads=2), near)
    for nq in (1, 3):
        assert_same(index.search(queries[:nq], k=50, threads=2), [part[:nq] for part in whole])
    many = np.concatenate([queries] * 8)  # enough for threads to share them
    assert_same(index.search(many, k=50, threads=2), [np.concatenate([part] * 8) for part in whole])


@pytest.mark.parametrize("width", [1, 8, 13, 32])
def test_ties_go_by_id_not_by_place(rng, width):
    codes, ids = codes_of(rng, 3000, width) & 3, rng.permutation(9000)[:3000]
    index = bits().add(codes, ids=ids)
    table = hamming(codes[:70], codes)
    wanted = nearest(table, ids, 60, "hamming")
    for nq in BATCHES:
        assert_same(index.search(codes[:nq], k=60), [part[:nq] for part in wanted])


@pytest.mark.parametrize("width", [2, 8, 32])
@pytest.mark.parametrize("nq", [1, 3, 50])
def test_filters_and_removal(rng, width, nq):
    codes, ids = codes_of(rng, 1200, width), rng.permutation(1200)
    queries = codes_of(rng, 50, width)[:nq]
    index, table = bits().add(codes, ids=ids), hamming(queries, codes)
    masks = rng.random((nq, 1200)) < rng.choice([0.0, 0.01, 0.6], (nq, 1))
    for keep in (masks[-1], np.flatnonzero(masks[-1])):
        assert_same(index.search(queries, k=9, filter=keep), nearest(table, ids, 9, "hamming", masks[-1][ids]))
    assert_same(index.search(queries, k=9, filter=list(masks)), nearest(table, ids, 9, "hamming", masks[:, ids]))
    alive = ids % 6 != 0
    index.remove(ids[~alive])
    assert_same(index.search(queries, k=9), nearest(table, ids, 9, "hamming", alive))
    assert_same(index.search(queries, k=9, filter=masks[0]), nearest(table, ids, 9, "hamming", alive & masks[0][ids]))


def test_too_few_codes_are_padded(rng):
    codes = codes_of(rng, 8, 5)
    for n in (0, 4):
        for result in (ak.hamming.topk(codes, codes[:n], k=6), bits().add(codes[:n]).search(codes, k=6)):
            assert (result.ids[:, n:] == -1).all()
            assert (result.distances[:, n:] == PAD_COUNT).all()
            assert (result.ids[:, :n] >= 0).all()
    assert ak.hamming.pairwise(codes, codes[:0]).shape == (8, 0)
    assert ak.hamming.range(codes, codes[:0], 3).lims.tolist() == [0] * 9
    assert (bits().search(codes, k=2).ids == -1).all()


def test_codes_are_kept_and_given_back(rng, tmp_path):
    codes = codes_of(rng, 300, 7)
    index = bits().add(codes)
    np.testing.assert_array_equal(index.reconstruct([299, 0, 4]), codes[[299, 0, 4]])
    index.save(tmp_path / "bits.ak")
    for mmap in (False, True):
        other = ak.load(tmp_path / "bits.ak", mmap=mmap)
        assert repr(other) == repr(index)
        assert_same(other.search(codes[:9], k=4), index.search(codes[:9], k=4))


def test_faiss_finds_the_same_distances(rng):
    faiss = pytest.importorskip("faiss")
    codes = codes_of(rng, 4000, 32)
    peer = faiss.IndexBinaryFlat(256)
    peer.add(codes)
    np.testing.assert_array_equal(ak.hamming.topk(codes[:60], codes, k=20).distances, peer.search(codes[:60], 20)[0])


@pytest.mark.parametrize("call", [ak.hamming.topk, ak.hamming.pairwise, lambda a, b: ak.hamming.range(a, b, 3)])
def test_wrong_codes_are_named(call):
    good = np.zeros((4, 8), np.uint8)
    with pytest.raises(ValueError, match=r"64 bits.*72"):
        call(good, np.zeros((4, 9), np.uint8))
    with pytest.raises(TypeError, match=r"float32.*uint8"):
        call(good.astype(np.float32), good)
    with pytest.raises(TypeError, match=r"int8.*uint8"):
        call(good, good.astype(np.int8))
    with pytest.raises(TypeError, match=r"int64, expected uint8"):
        call(good, good.tolist())
    with pytest.raises(ValueError, match=r"3 dimensions.*expected"):
        call(good[None], good)
