"""Forks, signals, threads, spawned processes, little memory, and the choice of the instruction set."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from truth import assert_same

import annkit as ak

SETUP = """
    import os, signal, sys, threading, time
    import numpy as np, annkit as ak
    rng = np.random.default_rng(3)
    x = rng.standard_normal((20000, 32)).astype(np.float32)
    index = ak.Flat().add(x)

    def same(a, b):
        return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))
"""


def run(code, **environment):
    """Run code after SETUP in a process of its own; fail with what it wrote."""
    program = textwrap.dedent(SETUP) + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr[-3000:]}"
    return done.stdout


posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
# The address sanitizer's `new` ends the process instead of throwing, keeps freed memory aside, and pads what it gives.
own_allocator = pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="needs the system's allocator")


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


INTERRUPTED = """
    expected, before = index.search(x[:9], k=5), index.to_bytes()
    long = np.broadcast_to(x[:1], (3_000_000, 32))
    codes = rng.integers(0, 256, (400_000, 32)).astype(np.uint8)
    call = {{
        "search": lambda: index.search(np.tile(x, (20, 1)), k=5, threads={threads}),
        "one query": lambda: [index.search(x[:1], k=5, threads={threads}) for _ in range(10**6)],
        "add": lambda: index.add(long, threads={threads}),
        "range": lambda: index.range_search(np.tile(x, (20, 1)), 0.1, threads={threads}),
        "topk": lambda: ak.hamming.topk(codes, codes, threads={threads}),
        "pairwise": lambda: ak.hamming.pairwise(codes[:500], codes, threads={threads}),
    }}["{what}"]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for delay in (0.004, 0.01):
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, delay)
        try:
            call()
        except KeyboardInterrupt:
            took = time.perf_counter() - start
            assert took < 3, f"the call went on for {{took}} s"
        else:
            sys.exit("not interrupted")
        assert index.to_bytes() == before
        assert same(index.search(x[:9], k=5), expected)
    assert len(index.add(x[:1])) == 20001
"""


# How long a signal waits is counted from when it is sent: 50 ms in the median, as the machine may be busy.
INTERRUPTED_AT_ONCE = """
    import warnings
    warnings.simplefilter("ignore")
    rows = rng.standard_normal((60_000, 64)).astype(np.float32)
    index = ({index}).fit(rows[:12_000]).add(rows[:30_000])
    expected, before, fitted = index.search(rows[:9], k=5), index.to_bytes(), index.is_fitted
    empty = {index}
    many = np.tile(rows, (8, 1))
    learned = many[:240_000]
    call = {{
        "fit": lambda: empty.fit(learned, threads={threads}),
        "add": lambda: index.add(many, threads={threads}),
        "search": lambda: index.search(many, k=10, threads={threads}),
        "range": lambda: index.range_search(many, 30.0, threads={threads}),
        "wide range": lambda: index.range_search(many, 150.0, threads={threads}),
    }}["{what}"]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    late = []
    for delay in (0.003, 0.006, 0.01, 0.02, 0.04, 0.08):
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            call()
            signal.setitimer(signal.ITIMER_REAL, 0)  # it was faster than the signal
            index = ak.Index.from_bytes(before)
            break
        except KeyboardInterrupt:
            late.append(time.perf_counter() - start - delay)
        assert len(empty) == 0
    assert late, "never interrupted"
    late.sort()
    assert index.to_bytes() == before
    assert len(index) == 30_000
    assert same(index.search(rows[:9], k=5), expected)
    assert late[(len(late) - 1) // 2] < {within} and late[-1] < 0.5, late
"""
LISTS = {
    "ivf": "ak.IVF(lists=1024)",
    "ivf pq4": "ak.IVF(lists=256, codec=ak.PQ(32, bits=4))",
    "ivf pq8": "ak.IVF(lists=256, codec=ak.PQ(16))",
    "ivf rabitq": "ak.IVF(lists=256, codec=ak.RaBitQ(4))",
    "hnsw": "ak.HNSW(degree=16, ef_build=40, codec=ak.SQ(8))",
    "refine hnsw": "ak.Refine(ak.HNSW(degree=16, ef_build=40, codec=ak.SQ(8)))",
    "refine": "ak.Refine(ak.IVF(lists=256, codec=ak.SQ(4)), codec=ak.SQ(8))",
    "pipeline": "ak.Pipeline(ak.OPQ(16), ak.IVF(lists=256, codec=ak.PQ(16, bits=4)))",
}


@posix
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", ["fit", "add", "search", "range"])
@pytest.mark.parametrize("index", LISTS)
def test_a_signal_interrupts_lists_at_once(index, what, threads):
    # Tables of PQ with 8 bits are made for all queries of a block in one go.
    # What add had reserved is given back on the way out, and a pipeline takes rows of earlier blocks out again.
    within = 0.4 if index == "ivf pq8" and what in ("search", "range") else 0.15
    run(INTERRUPTED_AT_ONCE.format(index=LISTS[index], what=what, threads=threads, within=within))


@posix
def test_a_signal_interrupts_wide_ranges_at_once():
    run(INTERRUPTED_AT_ONCE.format(index=LISTS["hnsw"], what="wide range", threads=1, within=0.15))


INTERRUPTED_HASHES = """
    codes = rng.integers(0, 256, (400_000, 8)).astype(np.uint8)
    codes[::3] = codes[0]
    codes[::3, 1:3] = rng.integers(0, 256, codes[::3, 1:3].shape)
    index = ak.MultiIndexHash().add(codes[:200_000])
    before = index.to_bytes()
    call = {{
        "add": lambda: index.add(np.tile(codes, (4, 1)), threads={threads}),
        "search": lambda: index.search(codes, k=10, threads={threads}),
        "range": lambda: index.range_search(codes[:100_000], 9, threads={threads}),
        "pairs": lambda: ak.hamming.pairs(codes, 3, threads={threads}),
    }}["{what}"]
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    late = []
    for delay in (0.003, 0.01, 0.03, 0.06, 0.1):
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            call()
        except KeyboardInterrupt:
            late.append(time.perf_counter() - start - delay)
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(late) >= 3, "hardly interrupted"
    assert index.to_bytes() == before
    assert sorted(late)[(len(late) - 1) // 2] < 0.15 and max(late) < 0.5, late
"""


@posix
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", ["add", "search", "range", "pairs"])
def test_a_signal_interrupts_hashes_at_once(what, threads):
    run(INTERRUPTED_HASHES.format(what=what, threads=threads))


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


@posix
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("what", ["search", "one query", "add", "range", "topk", "pairwise"])
def test_a_signal_interrupts_and_changes_nothing(what, threads):
    run(INTERRUPTED.format(what=what, threads=threads))


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


@own_allocator
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_too_little_memory_is_an_error_and_changes_nothing(threads):
    run(
        f"""
        import resource
        before, expected = index.to_bytes(), index.search(x[:300], k=5, threads={threads})
        many = np.broadcast_to(x[:1], (8_000_000, 32))
        graph = ak.HNSW(degree=8, ef_build=10).add(x[:1000])
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20,) * 2)
        calls = [
            lambda: index.add(many, threads={threads}),
            lambda: index.add(many, ids=np.arange(10**6, 9 * 10**6), threads={threads}),
            lambda: index.search(x[:5], k=2**31 - 1),
            lambda: index.search(x, k=20000, threads={threads}),
            lambda: index.range_search(x, 1e9, threads={threads}),
            lambda: ak.hamming.pairwise(np.zeros((40000, 1), np.uint8), np.zeros((40000, 1), np.uint8)),
            lambda: ak.Flat().add(many, threads={threads}),
            lambda: index.reserve(8_000_000),
            lambda: graph.reserve(8_000_000),
        ]
        for number, call in enumerate(calls):
            try:
                call()
            except MemoryError:
                pass
            else:
                sys.exit(f"call {{number}} passed")
            assert index.to_bytes() == before, number
            assert same(index.search(x[:300], k=5, threads={threads}), expected), number
        assert len(index.add(x)) == 40000
        assert len(graph.add(x[:10])) == 1010
        """
    )


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


@own_allocator
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the malloc of glibc")
def test_memory_that_was_freed_is_there_for_the_next_call():
    """In a process that has freed nothing large: each page that malloc has to ask for again is a fault."""
    program = """
        import ctypes, resource
        import annkit
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        size = 3 << 20

        def faults_of_a_round():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            pieces = [ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size))) for _ in range(4)]
            for piece in pieces:
                ctypes.memset(piece, 1, size)
            for piece in pieces:
                libc.free(piece)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        print(max([faults_of_a_round() for _ in range(10)][5:]))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < 100


@own_allocator
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("index", ["ak.Flat()", "ak.Flat(codec=ak.SQ(8))", "ak.Flat(codec=ak.Raw('bf16'))"])
def test_an_index_takes_the_memory_that_it_says(index):
    """Also where what is used of the last huge page of an array is little; its rows are large, and not many."""
    run(f"""
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        rows = rng.standard_normal((24000, 260)).astype(np.float32)
        index = {index}.fit(rows[:2000])
        before = resident()
        index.add(rows)
        grown = resident() - before
        assert grown < 1.05 * index.nbytes + (1 << 20), (grown, index.nbytes)
    """)
