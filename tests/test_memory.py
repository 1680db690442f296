"""Too little memory, memory that was freed, and what an index holds."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap

import pytest
from processes import own_allocator, run


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
