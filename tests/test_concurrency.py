"""Forked pools, threads that use an index while others change it, callbacks and signals in the middle of calls."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import weakref

import numpy as np
import pytest
from processes import posix, run

import annkit as ak

SEARCHED = {
    "flat": lambda: ak.Flat(),
    "ivf": lambda: ak.IVF(lists=8, codec=ak.SQ(8)),
    "ivf graph": lambda: ak.IVF(lists=8, coarse=ak.HNSW(degree=8)),
    "hnsw": lambda: ak.HNSW(degree=12, ef_build=30),
    "lsh": lambda: ak.LSHTables(bits=5, tables=2),
    "refine": lambda: ak.Refine(ak.HNSW(degree=12, ef_build=30, codec=ak.SQ(8)), k_factor=8),
    "refine ivf": lambda: ak.Refine(ak.IVF(lists=8, codec=ak.PQ(8, bits=4)), k_factor=100),
    "pipeline": lambda: ak.Pipeline(ak.Rotation(), ak.Flat(codec=ak.SQ(8))),
    "hashes": lambda: ak.MultiIndexHash(codec=ak.SignBits()),
}
EVERYTHING = {"nprobe": 8, "ef": 2000, "probes": 32, "candidates": 2000}
X = np.random.default_rng(7).standard_normal((400, 32)).astype(np.float32)


def settings_of(index):
    return {name: value for name, value in EVERYTHING.items() if name in index.settings}


@pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
@pytest.mark.parametrize("name", SEARCHED)
def test_searches_beside_every_change(name):
    """Each row is found by itself, by whichever of its ids is the lowest, while copies of it come and go."""
    index = SEARCHED[name]().fit(X).add(X)
    settings, failures, stop = settings_of(index), [], threading.Event()

    def search(first):
        try:
            while not stop.is_set():
                part = X[first : first + 20]
                ids = index.search(part, k=3, threads=1, **settings).ids
                assert (ids[:, 0] == np.arange(first, first + 20)).all(), ids[:, 0]
                assert len(index) >= 400
                assert repr(index).startswith(type(index).__name__)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search, args=(first,)) for first in (0, 20, 200)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        more = np.arange(1000 * (turn + 1), 1000 * (turn + 1) + 400)
        index.add(X, ids=more)
        index.add(X[:200], ids=more[:200], replace=True)
        index.remove(more[::2])
        index.compact()
        index.remove(more[1::2])
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    assert len(index) == 400


@pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
@pytest.mark.parametrize("name", ["ivf", "lsh", "refine ivf", "pipeline", "hashes"])
def test_an_index_is_asked_while_it_learns(name):
    index, failures, stop = SEARCHED[name](), [], threading.Event()
    word = repr(index)

    def ask():
        try:
            while not stop.is_set():
                assert repr(index) == word
                assert index.is_fitted in (True, False)
                assert index.memory() is not None
                with contextlib.suppress(ak.NotFittedError):
                    assert (index.search(X[:2], k=1).ids == -1).all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for seed in range(20):
        index.fit(X, seed=seed)
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []


@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")
def test_an_index_lives_as_long_as_the_searches_of_it(name):
    index = SEARCHED[name]().fit(X).add(X)
    expected = index.search(X, k=4).ids
    started, found = threading.Barrier(4), []

    def search(own):
        started.wait()
        found.append(own.search(np.tile(X, (20, 1)), k=4).ids)

    threads = [threading.Thread(target=search, args=(index,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    del index
    gc.collect()
    for thread in threads:
        thread.join(60)
    assert len(found) == 3
    for ids in found:
        np.testing.assert_array_equal(ids, np.tile(expected, (20, 1)))


def test_results_and_inputs_hold_nothing_of_an_index():
    index = ak.Flat().add(X)
    result, codec = index.search(X[:3], k=2), index.codec
    expected = [part.copy() for part in result]
    gone = weakref.ref(index)
    del index
    gc.collect()
    assert gone() is None
    assert all((a == b).all() for a, b in zip(result, expected, strict=True))
    assert codec.encode(X[:1]).shape[0] == 1


@pytest.mark.parametrize(
    "index",
    [
        "ak.Flat(codec=ak.PQ(8, bits=4))",
        "ak.IVF(lists=64)",
        "ak.HNSW(degree=8, ef_build=20)",
        "ak.LSHTables(bits=5)",
        "ak.Refine(ak.IVF(lists=64), codec=ak.SQ(8))",
        "ak.Pipeline(ak.PCA(8), ak.IVF(lists=64))",
        "ak.MultiIndexHash(codec=ak.SignBits('median'))",
    ],
)
def test_a_callback_is_answered_or_refused_and_never_hangs(index):
    run(
        f"""
        import faulthandler
        faulthandler.dump_traceback_later(60, exit=True)
        index, x = {index}, x[:5000]

        def ask(done, total):
            for question in (lambda: len(index), lambda: repr(index), lambda: index.add(x[:1]), lambda: index.ids):
                try:
                    question()
                except ValueError as error:
                    refused.append(str(error))
                    assert "callback" in refused[-1]

        for call in (index.fit, index.add):
            refused = []
            call(x, progress=ask)
        assert refused
        assert len(index) == 5000
        assert len(index.add(x[:1])) == 5001
        """
    )


@posix
def test_a_pool_of_forked_processes_uses_the_index():
    run(
        """
        import multiprocessing, warnings
        warnings.simplefilter("ignore")
        indexes = [index, ak.IVF(lists=16, codec=ak.PQ(8, bits=4)).fit(x).add(x), ak.HNSW(degree=8, ef_build=20).add(x),
                   ak.Pipeline(ak.PCA(16), ak.LSHTables(bits=8)).fit(x).add(x)]
        expected = [one.search(x[:500], k=5, threads=2) for one in indexes]

        def use(number):
            signal.alarm(60)
            one = indexes[number % len(indexes)]
            found = one.search(x[:500], k=5, threads=2)
            one.add(x[:300], threads=2)
            return same(found, expected[number % len(indexes)]) and len(one) > 20000

        with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
            assert all(pool.map(use, range(8), chunksize=1))
        assert all(same(one.search(x[:500], k=5, threads=2), e) for one, e in zip(indexes, expected))
        """
    )


# What each takes is far longer than the signal's delay.
CALLS = {
    "remove": ("graph = ak.HNSW(degree=16, ef_build=16).add(x)", "graph.remove(np.arange(19_000))", "graph"),
    "compact": (
        "graph = ak.HNSW(degree=16, ef_build=16).add(x).remove(np.arange(4_900))",
        "graph.compact()",
        "graph",
    ),
    "lsh fit": ("lsh = ak.LSHTables(bits=12, tables=64); wide = np.tile(x, (4, 16))", "lsh.fit(wide)", "lsh"),
    "lsh add": ("lsh = ak.LSHTables(bits=12, tables=64).fit(x)", "lsh.add(many)", "lsh"),
    "lsh search": ("lsh = ak.LSHTables(bits=4).fit(x).add(x)", "lsh.search(many, probes=16)", "lsh"),
    "kmeans": ("means = ak.KMeans(1024, rounds=100)", "means.fit(many)", None),
    "opq": ("opq = ak.OPQ(16)", "opq.fit(many)", "opq"),
    "itq": ("itq = ak.ITQ(32, iterations=5000)", "itq.fit(many)", "itq"),
    "pca": ("pca = ak.PCA(16); wide = np.tile(x, (4, 16))", "pca.fit(wide)", "pca"),
    "pq": ("pq = ak.PQ(16)", "pq.fit(many)", "pq"),
    "encode": ("pq = ak.PQ(16).fit(x)", "pq.encode(many)", "pq"),
    "apply": ("turn = ak.Rotation(); wide = np.tile(x, (4, 16)); turn.fit(wide)", "turn.apply(wide)", None),
    "image": ("pictures = rng.integers(0, 255, (4_000, 64, 64), np.uint8)", "ak.image.hash(pictures)", None),
}


@posix
@pytest.mark.parametrize("name", CALLS)
def test_a_signal_interrupts_other_calls(name):
    setup, call, kept = CALLS[name]
    run(
        f"""
        import warnings
        warnings.simplefilter("ignore")
        many = np.tile(x, (20, 1))
        {setup}
        before = {kept}.to_bytes() if {kept is not None} else None
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            {call}
        except KeyboardInterrupt:
            took = time.perf_counter() - start
        else:
            sys.exit(f"not interrupted, it took {{time.perf_counter() - start}} s")
        assert took < 3, took
        assert before is None or {kept}.to_bytes() == before
        """,
        **({"OMP_NUM_THREADS": "1"} if "OMP_NUM_THREADS" not in os.environ else {}),
    )
