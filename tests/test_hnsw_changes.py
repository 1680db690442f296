"""HNSW: rows come and go, beside searches and beside each other."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from graph_rows import Q, X, reached, truth
from truth import assert_same

import annkit as ak
from annkit.metrics import recall


@pytest.fixture(scope="module")
def rows():
    return X, Q


def test_a_graph_grows_row_by_row(rows):
    x, q = rows
    index = ak.HNSW(degree=12, ef_build=40)
    for row in x[:1500]:
        index.add(row)
    wanted = truth(x[:1500], q)
    whole = ak.HNSW(degree=12, ef_build=40).add(x[:1500])
    assert reached(index, x) == 1500
    assert recall(index.search(q, ef=50).ids, wanted) > recall(whole.search(q, ef=50).ids, wanted) - 0.02


def test_removed_rows_leave_a_graph_as_good_as_a_fresh_one(rows):
    x, q = rows
    index = ak.HNSW(degree=16, ef_build=60).add(x[:4000])
    index.remove(np.arange(0, 1000))
    assert index.stats()["removed"] == 1000
    assert (index.search(q, k=10).ids >= 1000).all()
    index.remove(np.arange(1000, 1400)).compact()
    assert index.stats()["removed"] == 0
    index.add(x[4000:])
    assert reached(index, x) == len(index) == 4600
    fresh = ak.HNSW(degree=16, ef_build=60).add(x[1400:], ids=np.arange(1400, 6000))
    wanted = truth(x[1400:], q) + 1400
    assert recall(index.search(q, ef=60).ids, wanted) > recall(fresh.search(q, ef=60).ids, wanted) - 0.02


def test_most_rows_can_be_removed_at_once(rows):
    x, q = rows
    index = ak.HNSW(degree=16, ef_build=60).add(x)
    keep = np.arange(0, 6000, 11)
    index.remove(np.setdiff1d(np.arange(6000), keep))
    assert reached(index, x) == len(keep)
    assert recall(index.search(q, ef=100).ids, keep[truth(x[keep], q)]) > 0.97


def test_progress_is_reported_while_a_graph_grows(rows):
    x, _ = rows
    seen = []
    ak.HNSW(degree=12).add(np.tile(x, (4, 1)), progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (4 * 6000, 4 * 6000)


def test_rows_that_come_meanwhile_are_found_when_all_are_there(rows):
    x, q = rows
    index = ak.HNSW(degree=12, ef_build=60).add(x[:1000])
    expected, failures, seen, done = index.search(x[:50], k=1), [], set(), threading.Event()

    def search():
        try:
            while not done.is_set():
                got = index.search(x[:50], k=1, threads=1)
                assert_same(got, expected)
                hits = index.search(q, k=20, ef=60, threads=1).ids
                seen.add((len(index), int(hits.max() >= 1000)))
                assert (hits >= 0).all()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for first in range(1000, 6000, 1000):
        index.add(x[first : first + 1000], threads=1)
    index.remove(np.arange(3000, 6000))
    done.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert {n for n, _ in seen} <= {*range(1000, 7000, 1000), 3000}
    assert reached(index, x) == 3000


OPEN = {
    "plain": lambda: ak.HNSW(degree=12, ef_build=40),
    "refine": lambda: ak.Refine(ak.HNSW(degree=12, ef_build=40, codec=ak.SQ(8))),
    "pipeline": lambda: ak.Pipeline(ak.PCA(16), ak.HNSW(degree=12, ef_build=40)),
    "both": lambda: ak.Refine(ak.Pipeline(ak.PCA(16), ak.HNSW(degree=12, ef_build=40, codec=ak.SQ(8)))),
}


@pytest.mark.parametrize("name", OPEN)
def test_searches_go_on_while_rows_are_added(rows, name):
    x, q = rows
    index = OPEN[name]().fit(x).add(x[:2000])
    expected, meanwhile, stuck = index.search(q, ef=6000), [], []

    def during(done, total):
        search = threading.Thread(target=lambda: meanwhile.append((len(index), index.search(q, ef=6000))))
        search.start()
        search.join(60)
        if search.is_alive():
            stuck.append(search)
            raise RuntimeError("the search waits")

    index.add(x[2000:], progress=during)
    assert not stuck
    assert meanwhile
    for size, found in meanwhile:
        assert size == 2000
        assert_same(found, expected)
    assert (index.search(q).ids >= 2000).any()


@pytest.mark.parametrize("name", OPEN)
def test_searches_beside_changes_find_k_rows_that_are_there(rows, name):
    x, q = rows
    index = OPEN[name]().fit(x).add(x[:1500])
    failures, done = [], threading.Event()
    settings = {"k_factor": 1} if "k_factor" in index.settings else {}

    def search():
        try:
            while not done.is_set():
                hits = index.search(q, k=30, ef=40, threads=1, **settings)
                assert (hits.ids >= 0).all()
                assert all(len(set(row)) == 30 for row in hits.ids.tolist())
                assert (np.diff(hits.distances) >= 0).all()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for first in range(1500, 3000, 300):
        ids = np.arange(first, first + 300)
        index.add(x[ids], ids=ids, threads=1)
        index.add(x[ids + 3000], ids=ids, replace=True, threads=1)
        index.remove(ids[::2])
    index.compact()
    done.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(index) == 1500 + 750


def test_threads_that_add_beside_each_other_lose_no_row(rows):
    x, _ = rows
    index = ak.HNSW(degree=12, ef_build=30)
    parts = np.array_split(np.arange(3000), 12)
    threads = [threading.Thread(target=lambda part=part: index.add(x[part], ids=part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(index) == 3000
    assert (index.search(x[:3000], k=1, ef=100).ids[:, 0] == np.arange(3000)).mean() > 0.995
    assert reached(index, x) == 3000


def test_a_failed_add_leaves_the_graph_as_it_was(rows):
    x, q = rows
    index = ak.HNSW(degree=12, ef_build=40).add(x[:2000])
    before, found = index.to_bytes(), index.search(q)
    calls = []

    def stop(done, total):
        calls.append(done)
        if done > total // 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        index.add(np.tile(x[2000:], (10, 1)), progress=stop)
    assert len(calls) > 1
    assert index.to_bytes() == before
    assert_same(index.search(q), found)
    assert index.add(x[2000:]).to_bytes() == ak.HNSW(degree=12, ef_build=40).add(x[:2000]).add(x[2000:]).to_bytes()
