"""The figures annkit is held to, each beside Faiss and beside this machine's limit, measured in one run.

    taskset -c 0 python bench/bars.py [flat bytes hamming single exact call memory threads transforms]

Rates are medians over several passes, with one thread unless a line says two. `threads` wants two cores: run it
without taskset.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import annkit as ak
from annkit._core import _kernels

rng = np.random.default_rng(0)


def median_time(call: Callable[[], Any], seconds: float = 1.5, least: int = 3) -> float:
    """Return the median seconds of a call, after one to warm up."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def faiss_module() -> Any:
    """Return Faiss with one thread."""
    try:
        import faiss
    except ImportError as error:
        raise SystemExit('this bench needs Faiss: pip install "annkit-native[bench]"') from error
    faiss.omp_set_num_threads(1)
    return faiss


def fma_rate() -> float:
    """Return this core's multiply-add rate in flop a second."""
    rounds = 2_000_000
    empty = np.zeros((1, 1024), np.uint8)
    flop = _kernels.probe(ak.simd.level(), "fma", rounds, empty)
    return flop / median_time(lambda: _kernels.probe(ak.simd.level(), "fma", rounds, empty), 0.5)


def read_rate(megabytes: int = 512) -> float:
    """Return how many bytes a second one core reads from DRAM."""
    data = np.ones((1, megabytes << 20), np.uint8)
    return data.size / median_time(lambda: _kernels.probe(ak.simd.level(), "read", 1, data), 1.5)


def faiss_flat_time(base: np.ndarray, queries: np.ndarray) -> float:
    """Return Faiss's time for a batch, at the better of its two thresholds."""
    faiss = faiss_module()
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    times = []
    for threshold in (faiss.cvar.distance_compute_blas_threshold, 1):
        before = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = threshold
        times.append(median_time(lambda: index.search(queries, 10)))
        faiss.cvar.distance_compute_blas_threshold = before
    return min(times)


def show(what: str, rate: str, limit: str, peer: str) -> None:
    """Print one line."""
    print(f"{what:46} {rate:>18} {limit:>26} {peer:>22}", flush=True)


def flat() -> None:
    """Float batches."""
    for n, dim, sizes in ((200_000, 128, (1000, 256, 64, 16)), (60_000, 784, (1000,)), (60_000, 768, (1000, 64))):
        base = rng.random((n, dim), np.float32)
        index = ak.Flat().add(base)
        for nq in sizes:
            queries = rng.random((nq, dim), np.float32)
            limit = fma_rate()
            seconds = median_time(lambda q=queries, i=index: i.search(q, k=10, threads=1))
            rate = 2.0 * n * nq * dim / seconds
            show(
                f"Flat f32 l2, d={dim}, {n:,} rows, {nq} queries",
                f"{n * nq / seconds / 1e6:.0f} M pairs/s",
                f"{100 * rate / limit:.0f} % of the FMA rate",
                f"{faiss_flat_time(base, queries) / seconds:.2f} x Faiss",
            )


def single() -> None:
    """One query over rows in DRAM."""
    faiss = faiss_module()
    base = rng.standard_normal((1 << 20, 128), np.float32)
    queries = rng.standard_normal((8, 128), np.float32)
    peer = faiss.IndexFlatL2(128)
    peer.add(base)
    faiss_time = median_time(lambda: [peer.search(queries[i : i + 1], 10) for i in range(8)])
    index = ak.Flat().add(base)
    limit = read_rate()
    seconds = median_time(lambda: [index.search(queries[i], k=10, threads=1) for i in range(8)])
    rate = 8 * base.nbytes / seconds
    show(
        "Flat f32 l2, one query, 512 MB",
        f"{rate / 1e9:.1f} GB/s",
        f"{100 * rate / limit:.0f} % of {limit / 1e9:.1f} GB/s",
        f"{faiss_time / seconds:.2f} x Faiss",
    )
    certified = ak.Flat(scan="sq8").add(base)
    same = all(
        np.array_equal(a, b) for a, b in zip(index.search(queries, 10), certified.search(queries, 10), strict=True)
    )
    sketched = median_time(lambda: [certified.search(queries[i], k=10, threads=1) for i in range(8)])
    show(
        "the same with scan='sq8'",
        f"{8 / sketched:.0f} queries/s",
        f"identical: {same}",
        f"{seconds / sketched:.2f} x Flat f32",
    )


def byte_rows() -> None:
    """Integer batches."""
    faiss = faiss_module()
    for kind, low, high in (("u8", 0, 256), ("i8", -128, 128)):
        dtype = np.uint8 if kind == "u8" else np.int8
        base = rng.integers(low, high, (200_000, 128)).astype(dtype)
        queries = rng.integers(low, high, (1000, 128)).astype(dtype)
        peer = faiss.IndexScalarQuantizer(128, faiss.ScalarQuantizer.QT_8bit)
        as_float = base.astype(np.float32)
        peer.train(as_float)
        peer.add(as_float)
        peer_queries = queries[:50].astype(np.float32)
        faiss_time = median_time(lambda p=peer, q=peer_queries: p.search(q, 10)) * 20
        index = ak.Flat(codec=ak.Raw(kind)).add(base)
        seconds = median_time(lambda i=index, q=queries: i.search(q, k=10, threads=1))
        show(
            f"Flat {kind} l2, d=128, 200,000 rows, 1000 queries",
            f"{2e8 / seconds / 1e6:.0f} M pairs/s",
            "",
            f"{faiss_time / seconds:.1f} x Faiss SQ8",
        )


def hamming() -> None:
    """Packed codes."""
    faiss = faiss_module()
    for bits in (64, 128, 256, 512, 1024):
        codes = rng.integers(0, 256, (1_000_000, bits // 8)).astype(np.uint8)
        queries = rng.integers(0, 256, (200, bits // 8)).astype(np.uint8)
        peer = faiss.IndexBinaryFlat(bits)
        peer.add(codes)
        faiss_time = median_time(lambda p=peer, q=queries: p.search(q, 10))
        seconds = median_time(lambda c=codes, q=queries: ak.hamming.topk(q, c, 10, threads=1))
        show(
            f"Hamming {bits} bit, 1,000,000 codes, 200 queries",
            f"{2e8 / seconds / 1e9:.2f} G pairs/s",
            "",
            f"{faiss_time / seconds:.1f} x Faiss",
        )
    codes = np.tile(rng.integers(0, 256, (1 << 15, 32)).astype(np.uint8), (2048, 1))
    limit = read_rate()
    seconds = median_time(lambda: ak.hamming.topk(queries[0, :32], codes, 10, threads=1))
    rate = codes.nbytes / seconds
    show(
        "Hamming 256 bit, one query, 2 GB",
        f"{rate / 1e9:.1f} GB/s",
        f"{100 * rate / limit:.0f} % of {limit / 1e9:.1f} GB/s",
        "",
    )


def call() -> None:
    """What a call costs besides its kernel: a search of one row of one dimension."""
    index = ak.Flat().add(np.zeros((10, 16), np.float32))
    query = np.zeros((1, 16), np.float32)
    seconds = median_time(lambda: [index.search(query, k=10) for _ in range(1000)]) / 1000
    show("one-query call on 10 rows", f"{seconds * 1e6:.2f} us", "", "")


def memory() -> None:
    """What a search adds to the process's peak."""
    index = ak.Flat().add(rng.random((500_000, 128), np.float32))
    queries = rng.random((1000, 128), np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index.search(queries, k=10)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    show("peak memory added by 1000 queries, k=10", f"{(after - before) / 1024:.1f} MB", "", "")


def threads() -> None:
    """Two threads against one."""
    base = rng.random((200_000, 128), np.float32)
    codes = rng.integers(0, 256, (1_000_000, 32)).astype(np.uint8)
    as_bytes = (base * 255).astype(np.uint8)
    cases: list[tuple[str, Any, np.ndarray]] = [
        (f"f32, {nq} queries", ak.Flat().add(base), rng.random((nq, 128), np.float32)) for nq in (1000, 256, 64, 16)
    ]
    cases.append(("u8, 1000 queries", ak.Flat(codec=ak.Raw("u8")).add(as_bytes), as_bytes[:1000]))
    cases.append(("256 bit, 200 queries", ak.Flat(codec=ak.Bits(), metric="hamming").add(codes), codes[:200]))
    for name, index, queries in cases:
        one = median_time(lambda i=index, q=queries: i.search(q, k=10, threads=1))
        two = median_time(lambda i=index, q=queries: i.search(q, k=10, threads=2))
        show(f"two threads, {name}", f"{one / two:.2f} x one", "", "")


def fit_time(fit: Callable[[], Any]) -> float:
    """Return the seconds of one call: fits are long."""
    start = time.perf_counter()
    fit()
    return time.perf_counter() - start


def quantizing_error(x: np.ndarray, matrix: np.ndarray, m: int) -> float:
    """Return what Faiss's product quantization of 4 bits errs by a row behind a rotation."""
    faiss = faiss_module()
    y = np.ascontiguousarray(x @ matrix.T)
    pq = faiss.ProductQuantizer(y.shape[1], m, 4)
    pq.train(y)
    return float(np.sum((y - pq.decode(pq.compute_codes(y))) ** 2, axis=1).mean())


def transforms() -> None:
    """Products with a matrix; PCA's and OPQ's fit."""
    faiss = faiss_module()
    for dim in (96, 384, 768, 1536):
        x = rng.standard_normal((4000, dim), np.float32)
        rotation, fast = ak.Rotation().fit(x), ak.Rotation(kind="hadamard").fit(x)
        peer = faiss.RandomRotationMatrix(dim, dim)
        peer.init(1)
        limit = fma_rate()
        for n in (4000, 1):
            seconds = median_time(lambda r=rotation, q=x[:n]: r.apply(q, threads=1), 0.5)
            theirs = median_time(lambda p=peer, q=x[:n]: p.apply(q), 0.5)
            share = f"{100 * 2.0 * n * dim * dim / seconds / limit:.0f} % of the FMA rate"
            show(f"Rotation, d={dim}, {n} rows", f"{n / seconds:,.0f} rows/s", share, f"{theirs / seconds:.2f} x Faiss")
        seconds = median_time(lambda r=fast, q=x: r.apply(q, threads=1), 0.5)
        show(f"the same by Hadamard, {len(x)} rows", f"{len(x) / seconds:,.0f} rows/s", "", "")
    for dim in (96, 384, 768):
        mix = rng.standard_normal((dim, dim)) * np.arange(1, dim + 1) ** -0.5
        x = (rng.standard_normal((40_000, dim)) @ mix.T).astype(np.float32)
        peer = faiss.PCAMatrix(dim, 64)
        seconds = fit_time(lambda q=x: ak.PCA(64).fit(q, threads=1))
        theirs = fit_time(lambda p=peer, q=x: p.train(q))
        show(f"PCA fit, d={dim}, 40,000 rows", f"{seconds:.2f} s", "", f"{theirs / seconds:.1f} x Faiss")
        if dim > 384:
            continue  # Faiss takes minutes there
        m = dim // 8
        peer = faiss.OPQMatrix(dim, m)
        peer.pq = faiss.ProductQuantizer(dim, m, 4)
        opq = ak.OPQ(m)
        seconds = fit_time(lambda o=opq, q=x: o.fit(q, threads=1))
        theirs = fit_time(lambda p=peer, q=x: p.train(q))
        ratio = quantizing_error(x, opq.matrix_, m) / quantizing_error(
            x, faiss.vector_to_array(peer.A).reshape(dim, dim), m
        )
        show(f"OPQ fit, d={dim}", f"{seconds:.2f} s", f"error {ratio:.3f} x Faiss's", f"{theirs / seconds:.1f} x Faiss")


BARS = {
    "flat": flat,
    "single": single,
    "bytes": byte_rows,
    "hamming": hamming,
    "call": call,
    "memory": memory,
    "threads": threads,
    "transforms": transforms,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bars", nargs="*", metavar="BAR", help=f"of {', '.join(BARS)}; all by default")
    for bar in parser.parse_args().bars or BARS:
        BARS[bar]()
