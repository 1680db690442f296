"""Forks, spawned processes, threads, and the choice of the instruction set."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from processes import LISTS, posix, run
from truth import assert_same

import annkit as ak


@posix
def test_a_forked_child_answers_the_same():
    run(
        """
        expected = index.search(x[:300], k=5, threads=2)
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                other = ak.Flat().add(x, threads=2)
                good = all(same(one.search(x[:300], k=5, threads=2), expected) for one in (index, other))
                os._exit(0 if good else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert same(index.search(x[:300], k=5, threads=2), expected)
        """
    )


@posix
def test_a_fork_while_a_thread_searches():
    run(
        """
        expected, stop = index.search(x[:50], k=5), threading.Event()

        def search():
            while not stop.is_set():
                index.search(x[:500], k=5, threads=2)

        thread = threading.Thread(target=search)
        thread.start()
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(10):
            time.sleep(0.01)
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                fresh = ak.Flat().add(x)
                os._exit(0 if same(fresh.search(x[:50], k=5, threads=2), expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        """
    )


@posix
@pytest.mark.parametrize("index", LISTS)
def test_a_forked_child_searches_lists(index):
    run(
        f"""
        import warnings
        warnings.simplefilter("ignore")
        index = ({LISTS[index]}).fit(x, threads=2).add(x, threads=2)
        expected = index.search(x[:300], k=5, threads=2)
        for _ in range(5):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                good = same(index.search(x[:300], k=5, threads=2), expected)
                index.add(x[:100], threads=2)
                os._exit(0 if good and len(index) == 20100 else 1)
            assert os.waitpid(child, 0)[1] == 0
            assert same(index.search(x[:300], k=5, threads=2), expected)
        """
    )


def _answer(index, queries):
    return tuple(index.search(queries, k=4))


def test_spawned_processes_get_the_index_by_pickle(rng):
    x = rng.standard_normal((500, 8)).astype(np.float32)
    index = ak.Flat(metric="cosine").add(x)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert_same(pool.apply(_answer, (index, x[:20])), index.search(x[:20], k=4))


def test_many_threads_search_beside_each_other_and_a_writer(rng):
    x = rng.standard_normal((4000, 16)).astype(np.float32)
    index = ak.Flat().add(x)
    expected, failures, stop = index.search(x[:40], k=1), [], threading.Event()

    def search(size):
        try:
            while not stop.is_set():
                for first in range(0, 40, size):
                    part = slice(first, first + size)
                    assert_same(index.search(x[part], k=1), [one[part] for one in expected])
                assert len(index) >= 4000
                assert index.dim == 16
                assert index.reconstruct([7]).shape == (1, 16)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=search, args=(size,)) for size in (1, 2, 5, 20, 40, 8)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        ids = index.add(x[:200] + 50).ids[-200:]
        index.remove(ids)
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert failures == []


def test_asking_an_index_while_it_grows_does_not_hang():
    """The interpreter's lock is never held while an index's own is waited for."""
    run(
        """
        import faulthandler
        faulthandler.dump_traceback_later(60, exit=True)
        stop = threading.Event()

        def ask():
            while not stop.is_set():
                len(index), index.dim, index.nbytes, repr(index), index.reconstruct([0])

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        calls = []
        for _ in range(5):
            index.add(np.broadcast_to(x[:1], (200_000, 32)), progress=lambda *call: calls.append(call))
        stop.set()
        for thread in threads:
            thread.join()
        assert calls[-1] == (200_000, 200_000)
        """
    )


def test_other_threads_run_during_a_search(rng):
    x = rng.standard_normal((20000, 32)).astype(np.float32)
    index, ticks, stop = ak.Flat().add(x), [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    index.search(np.tile(x[:10000], (3, 1)), k=3, threads=1)
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert sum(start < one < end for one in ticks) >= 5


@pytest.mark.parametrize("wanted", ak.simd.levels())
def test_the_environment_caps_the_level(wanted):
    out = run("print(ak.simd.level(), index.search(x[:30], k=9).ids.tolist())", ANNKIT_SIMD=wanted)
    assert out.split()[0] == wanted
    assert out.split(maxsplit=1)[1] == run("print(index.search(x[:30], k=9).ids.tolist())", ANNKIT_SIMD="")


def test_a_level_that_does_not_exist_is_an_error():
    code = "import annkit as ak; ak.simd.level()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "ANNKIT_SIMD": "sse9"},
    )
    assert done.returncode == 1
    assert 'ValueError: ANNKIT_SIMD is "sse9", expected one of scalar, avx2' in done.stderr


def test_threads_follow_the_environment_and_set_threads():
    assert run("print(ak.get_threads())", OMP_NUM_THREADS="3").strip() == "3"
    run("ak.set_threads(5); assert ak.get_threads() == 5; ak.set_threads(None); assert ak.get_threads() != 5")
