"""Files and copies of every index, and the memory it takes."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
from indexes import CODECS, DIM, IDS, INDEXES, LEARNING, LISTS, N, Q, X, fitted, full
from truth import assert_same

import annkit as ak

# Small data keeps these tests fast; the warning has tests of its own in test_index_rows.py.
pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("name", INDEXES)
def test_every_way_of_storing_answers_the_same(tmp_path, name, metric):
    index = full(name, metric)
    index.remove(IDS[:100])
    path, expected, file = tmp_path / "index.ak", index.search(Q, k=5), io.BytesIO()
    index.save(path)
    index.save(file)
    before = index.to_bytes()
    assert file.getvalue() == before == path.read_bytes()
    file.seek(0)
    copies = [ak.load(path), ak.load(path, mmap=True), ak.load(file), ak.Index.from_bytes(before)]
    copies += [pickle.loads(pickle.dumps(index)), copy.copy(index), copy.deepcopy(index)]
    radius = float(np.median(expected.distances))
    for other in copies:
        assert other.to_bytes() == before
        assert (repr(other), len(other), other.dim, other.metric) == (repr(index), N - 100, DIM, metric)
        assert_same(other.search(Q, k=5), expected)
        assert_same(other.search(Q, k=5, filter=IDS[::3]), index.search(Q, k=5, filter=IDS[::3]))
        assert_same(other.range_search(Q[:5], radius), index.range_search(Q[:5], radius))
        assert sum(other.memory().values()) == other.nbytes
    mapped = copies[1]
    for call in (lambda: mapped.add(X[:1]), lambda: mapped.remove(IDS[200:201]), mapped.compact):
        with pytest.raises(ValueError, match="mmap"):
            call()
    assert mapped.to_bytes() == before
    own = copy.copy(mapped).add(X[:1])  # a copy holds its own rows
    assert len(own) == N - 99
    for other in (copies[0], copies[4], copies[5]):
        other.add(X[:50], ids=np.arange(50) + 10 * N).remove(IDS[500:])
        assert_same(index.search(Q, k=5), expected)
    assert index.to_bytes() == before


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("name", INDEXES)
def test_threads_and_runs_give_equal_files(name, metric):
    files = [
        INDEXES[name](metric).fit(X, threads=threads).add(X, ids=IDS, threads=threads).to_bytes()
        for threads in (1, 2, 3)
    ]
    assert files[0] == files[1] == files[2] == full(name, metric).to_bytes()


@pytest.mark.parametrize(
    "name", [name for name in LEARNING if name not in ("flat sq8", "flat sq6", "flat sq4", "pca flat")]
)
def test_another_seed_learns_something_else(name):
    assert INDEXES[name]("l2").fit(X, seed=7).to_bytes() != fitted(name).to_bytes() or "sq" in name


@pytest.mark.parametrize("name", INDEXES)
def test_memory_adds_up(name):
    index = full(name)
    parts = index.memory()
    assert all(isinstance(one, int) and one >= 0 for one in parts.values())
    assert sum(parts.values()) == index.nbytes
    assert index.nbytes >= fitted(name).nbytes
    index.remove(IDS[: N // 2])
    assert sum(index.memory().values()) == index.nbytes


def test_memory_of_nested_wrappers_adds_up():
    inner = ak.Refine(ak.Pipeline(ak.Center(), ak.Flat(codec=ak.SQ(4))), codec=ak.SQ(8))
    index = ak.Refine(ak.Pipeline(ak.Rotation(), inner), codec=ak.Raw("f16")).fit(X).add(X)
    parts = index.memory()
    assert parts["finer codes"] >= N * DIM * (1 + 2)
    assert sum(parts.values()) == index.nbytes


@pytest.mark.parametrize(("calls", "share"), [(1, 1.05), (10, 1.10)])
@pytest.mark.parametrize(("codec", "code"), [("pq4", 4), ("pq8", 4), ("rabitq1", 2 + 8), ("f16", 36)])
@pytest.mark.parametrize(("ids", "of_id"), [(None, 4), (7, 4), (2**40, 8)])
def test_lists_take_little_more_than_their_rows(rng, codec, code, calls, share, ids, of_id):
    n = LISTS * 1000
    x = rng.standard_normal((n, DIM)).astype(np.float32)
    index = ak.IVF(lists=LISTS, codec=CODECS[codec]()).fit(x[:4000])
    for rows in np.array_split(np.arange(n), calls):
        index.add(x[rows], ids=None if ids is None else rows * ids)
    add = 4 if codec.startswith("pq") else 0  # what a residual's code adds to its distance
    centroids = index.memory()["centroids"]
    assert centroids <= (LISTS + 32) * (DIM + 1) * 4
    assert index.nbytes - index.memory().get("codec", 0) <= share * (n * (code + add + of_id) + centroids) + LISTS * 500


@pytest.mark.parametrize("steps", [(1, 1, 1, 1, 600, 1, 1, 400), (300, *[1] * 200, 505)])
def test_rows_of_lists_are_found_however_they_came(rng, tmp_path, steps):
    # Lists keep rows that follow each other as runs, others one by one, and change between the two.
    n = sum(steps)
    x = rng.standard_normal((n, DIM)).astype(np.float32)
    ids = rng.permutation(3 * n)[:n] + np.where(np.arange(n) > n // 2, 2**40, 0)
    index, flat = (one.fit(x) for one in (ak.IVF(lists=4, codec=ak.Raw("f32")), ak.Flat()))
    first = 0
    for step in steps:
        rows = slice(first, first + step)
        for one in (index, flat):
            one.add(x[rows], ids=ids[rows])
        first += step
        assert_same(index.search(Q, k=9, nprobe=4), flat.search(Q, k=9))
    for gone in (ids[:: n // 20], ids[1 : n // 2]):
        for one in (index, flat):
            one.remove(gone[np.isin(gone, one.ids)])
        index.compact()
        index.save(tmp_path / "lists.ak")
        for other in (index, ak.load(tmp_path / "lists.ak"), ak.load(tmp_path / "lists.ak", mmap=True)):
            assert_same(other.search(Q, k=9, nprobe=4), flat.search(Q, k=9))
            np.testing.assert_array_equal(other.reconstruct(flat.ids[::5]), flat.reconstruct(flat.ids[::5]))
    left = ids[np.isin(ids, flat.ids)][:7]
    x[:7] += 1
    for one in (index, flat):
        one.add(x[:7], ids=left, replace=True)
    assert_same(index.search(Q, k=9, nprobe=4), flat.search(Q, k=9))


def test_a_row_before_it_was_refused_is_where_it_was(rng):
    x = rng.standard_normal((500, DIM)).astype(np.float32)
    index = ak.IVF(lists=4, codec=ak.PQ(4, bits=4)).fit(x).add(x[:400], ids=np.arange(400) * 3 + 1)
    before, broken = index.to_bytes(), x[400:].copy()
    broken[77, 0] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match="row 77"):
            index.add(broken, ids=np.arange(2000, 2100))
        assert index.to_bytes() == before


def test_ids_that_would_have_come_anyway_cost_nothing(rng):
    x = rng.random((300, 8), np.float32)
    counted, given, jumping = ak.Flat().add(x), ak.Flat(), ak.Flat()
    for first in (0, 100):
        given.add(x[first : first + 100], ids=np.arange(first, first + 100))
        jumping.add(x[first : first + 100], ids=np.arange(first, first + 100))
    given.add(x[200:])
    jumping.add(x[200:], ids=np.arange(201, 301))
    assert given.memory()["ids"] == counted.memory()["ids"] == 0 < jumping.memory()["ids"]
    np.testing.assert_array_equal(given.search(x, 1).ids[:, 0], np.arange(300))
    np.testing.assert_array_equal(jumping.search(x, 1).ids[:, 0], np.delete(np.arange(301), 200))
