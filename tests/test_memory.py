"""Too little memory, memory that was freed, what an index holds, and what it is expected to."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from processes import own_allocator, run

import annkit as ak
from annkit._memory import memory_of

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


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


LEARNED = {
    "PQ of 12 bits": "ak.Flat(codec=ak.PQ(96, bits=12))",
    "lists of PQ": "ak.IVF(lists=1024, codec=ak.PQ(96))",
    "finer PQ": "ak.Refine(ak.Flat(codec=ak.SQ(8)), codec=ak.PQ(96, bits=10))",
    "build codec": "ak.HNSW(degree=8, codec=ak.SQ(8), build_codec=ak.PQ(48, bits=11))",
    "rotation": "ak.Pipeline(ak.OPQ(192, bits=4), ak.Flat(codec=ak.PQ(192, bits=4)))",
}


@own_allocator
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs /proc and malloc_trim")
@pytest.mark.parametrize("index", LEARNED)
def test_memory_has_what_was_learned(tmp_path, index):
    """Of an index that is read from a file, as learning takes memory of its own."""
    path = tmp_path / "index.ak"
    run(f"""
        import warnings
        warnings.simplefilter("ignore")
        rows = rng.standard_normal((4200, 768)).astype(np.float32)
        {LEARNED[index]}.fit(rows).add(rows[:100]).save({str(path)!r})
    """)
    run(f"""
        import ctypes

        def resident():
            ctypes.CDLL(None).malloc_trim(0)  # what was freed
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = resident()
        loaded = ak.load({str(path)!r})
        grown = resident() - before
        assert loaded.nbytes > 2_000_000
        assert abs(grown - loaded.nbytes) < 0.05 * loaded.nbytes + (1 << 20), (grown, loaded.memory())
    """)


SPECS = ["Flat", "SQfp16", "IVF128,SQ8", "IVF128,SQ6", "IVF128,SQfp16", "IVF128,PQ24x4fsr", "IVF128,PQ12x4fsr"]
SPECS += ["IVF128,RaBitQ", *(f"IVF128,RaBitQ{bits}" for bits in (2, 3, 4, 5, 7)), "IVF256_HNSW16,SQ8"]
SPECS += ["IVF128,SQ8,RFlat", "IVF128,SQ8,Refine(SQfp16)", "PCA24,IVF128,SQ8,Refine(SQ8)"]
SPECS += ["HNSW16", "HNSW16,SQ8", "HNSW16,SQ8,Refine(SQfp16)", "PCA24,HNSW16,SQ8,Refine(SQfp16)"]


@pytest.mark.parametrize("metric", ["l2", "ip", "cosine"])
@pytest.mark.parametrize("spec", SPECS)
def test_memory_is_what_the_index_takes(rng, spec, metric):
    if "PCA" in spec and metric == "ip":
        pytest.skip("PCA takes the mean away, and recommend leaves it out")
    n = 4000 if "HNSW" in spec else 9000
    x = rng.standard_normal((n, 48)).astype(np.float32)
    index = ak.index(spec, 48, metric=metric).fit(x[:2000]).add(x)
    assert memory_of(spec, n, 48, metric) == pytest.approx(index.nbytes, rel=0.05)


@pytest.mark.parametrize("spec", ["SQ8", "SQ4", "PQ96x4fs", "RaBitQ", "RaBitQ4", "IVF16,SQ8,Refine(SQ8)"])
@pytest.mark.parametrize("dim", [192, 1024])
def test_memory_has_what_codecs_learn(rng, spec, dim):
    spec = spec.replace("96", "64") if dim == 1024 else spec
    x = rng.standard_normal((500, dim)).astype(np.float32)
    index = ak.index(spec, dim).fit(x).add(x[:32])
    learned = sum(size for name, size in index.memory().items() if name.endswith("codec"))
    assert learned >= dim * {"SQ": 8, "PQ": 16 * 4, "Ra": 4, "IV": 16}[spec[:2]]
    assert memory_of(spec, 32, dim) == pytest.approx(index.nbytes, rel=0.03)


@pytest.mark.parametrize("bits", [32, 64, 256])
@pytest.mark.parametrize("spec", ["BFlat", "BHNSW16", "BIVF128", "BMIH"])
def test_memory_of_codes_is_what_the_index_takes(rng, spec, bits):
    x = rng.integers(0, 256, (5000, bits // 8), dtype=np.uint8)
    assert memory_of(spec, 5000, bits, "hamming") == pytest.approx(ak.index(spec).fit(x).add(x).nbytes, rel=0.05)
