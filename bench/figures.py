"""What the bars share: medians of times, the machine's limits, one line of print, data sets and recall."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

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


def median_times(*calls: Callable[[], Any], seconds: float = 1.5, least: int = 3) -> list[float]:
    """Return the median seconds of several calls that take turns, so that all meet the same machine."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds * len(calls)
    while len(times[0]) < least or time.perf_counter() < end:
        for call, taken in zip(calls, times, strict=True):
            taken.append(once(call))
    return [statistics.median(taken) for taken in times]


def median_of(times: Callable[[], float], passes: int = 3) -> float:
    """Return the median of several measurements that are made in one call each."""
    return statistics.median(times() for _ in range(passes))


def once(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def faiss_module() -> Any:
    """Return Faiss with one thread."""
    try:
        import faiss
    except ImportError as error:
        raise SystemExit('this bench needs Faiss: pip install "annkit-native[bench]"') from error
    faiss.omp_set_num_threads(1)
    return faiss


def probe_rate(what: str, rounds: int = 2_000_000) -> float:
    """Return how many operations a second this core makes: of "fma" flop, of "shuffle" lanes of 16 bytes."""
    empty = np.zeros((1, 1024), np.uint8)
    done = _kernels.probe(ak.simd.level(), what, rounds, empty)
    return done / median_time(lambda: _kernels.probe(ak.simd.level(), what, rounds, empty), 0.5)


def fma_rate() -> float:
    """Return this core's multiply-add rate in flop a second."""
    return probe_rate("fma")


def read_rate(megabytes: int = 512) -> float:
    """Return how many bytes a second one core reads from DRAM."""
    data = np.ones((1, megabytes << 20), np.uint8)
    return data.size / median_time(lambda: _kernels.probe(ak.simd.level(), "read", 1, data), 1.5)


def divisor(dim: int, most: int) -> int:
    """Return the largest divisor up to `most`, at least 1: a number of groups of dimensions."""
    return max(m for m in range(1, max(most, 1) + 1) if dim % m == 0)


def show(what: str, rate: str, limit: str, peer: str) -> None:
    """Print one line."""
    print(f"{what:46} {rate:>18} {limit:>26} {peer:>22}", flush=True)


class Rows(NamedTuple):
    """A data set of float32 rows to compare by l2: rows that are compared by cosine have length one."""

    name: str
    base: np.ndarray
    queries: np.ndarray
    unit: bool = False


def mixture(n: int, dim: int, queries: int, draw: np.random.Generator = rng) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and queries like learned embeddings: clusters, each spread along few of its own directions."""
    clusters, rank = 200, max(8, dim // 16)
    means = draw.standard_normal((clusters, dim), np.float32)
    spread = draw.standard_normal((clusters, rank, dim), np.float32) / np.float32(rank**0.5)
    member = draw.integers(0, clusters, n + queries)
    x = means[member] + np.float32(0.1) * draw.standard_normal((n + queries, dim), np.float32)
    for cluster in range(clusters):
        mine = np.flatnonzero(member == cluster)
        x[mine] += draw.standard_normal((len(mine), rank), np.float32) @ spread[cluster]
    return x[:n], x[n:]


def clusters(n: int, dim: int, queries: int, draw: np.random.Generator = rng) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and queries of 1,000 round clusters far from each other: one list of an index answers a query."""
    means = draw.standard_normal((1000, dim), np.float32)
    member = draw.integers(0, len(means), n + queries)
    x = means[member] + np.float32(0.3) * draw.standard_normal((n + queries, dim), np.float32)
    return x[:n], x[n:]


class Limits(NamedTuple):
    """What the command line narrows a bar to: data sets by name, at most so many rows, seconds for each set."""

    names: list[str]
    rows: int | None
    seconds: float

    def sets(self, queries: int = 1000) -> Iterator[Rows]:
        """Yield the data sets."""
        return data_sets(self.names, self.rows, queries)

    def bounded(self, n: int) -> int:
        """Return n, or the most rows allowed."""
        return min(n, self.rows or n)


REAL = {"sift": "sift-caltech-128", "fashion": "fashion-mnist-784", "w2v": "w2v-enwiki-100"}
# Clusters, and mixtures of other dimensions, are taken where they are named.
MADE = ("mixture-128", "mixture-768")
_MADE = re.compile(r"(mixture|clusters)-([1-9]\d{0,3})")


def data_folder() -> Path:
    """Return where real data sets would lie: $ANNKIT_TEST_DATA, or ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("ANNKIT_TEST_DATA", beside))


def data_sets(wanted: Collection[str] = (), most: int | None = None, queries: int = 1000) -> Iterator[Rows]:
    """Yield data sets (all, or those named) of at most so many rows: real ones where they are at hand, and mixtures.

    Real ones lie in data_folder().
    """
    made = [name for name in wanted or MADE if _MADE.fullmatch(name)]
    if unknown := set(wanted) - {*REAL, *made}:
        raise SystemExit(
            f"unknown data {', '.join(sorted(unknown))}, expected of {', '.join(REAL)}, mixture-DIMENSIONS, "
            "clusters-DIMENSIONS"
        )
    folder = data_folder()
    for name, stem in REAL.items():
        files = [folder / f"{stem}.{part}.npy" for part in ("base", "query")]
        if (wanted and name not in wanted) or not all(file.exists() for file in files):
            continue
        x, q = (np.load(file, mmap_mode="r") for file in files)
        x, q = x[:most].astype(np.float32), q[:queries].astype(np.float32)
        unit = name == "w2v"
        if unit:
            x, q = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, q))
        yield Rows(name, x, q, unit)
    for name in made:
        kind, _, of = name.partition("-")
        dim = int(of)
        n = min(200_000, 46_080_000 // dim)
        yield Rows(name, *(mixture if kind == "mixture" else clusters)(min(n, most or n), dim, queries))


class Truth:
    """The exact distances to the k-th neighbours, which judge answers by distance: ties do not matter."""

    def __init__(self, base: np.ndarray, queries: np.ndarray, k: int = 10) -> None:
        self.base, self.queries, self.k = base, queries, k
        index = faiss_module().IndexFlatL2(base.shape[1])
        index.add(base)
        self.kth = self._distances(index.search(queries, k)[1]).max(axis=1)

    def recall(self, ids: np.ndarray) -> float:
        """Return which share of the k nearest of the first queries is among `ids`, of which none may repeat."""
        kth = self.kth[: len(ids)]
        return float(ak.metrics.recall_by_distance(self._distances(ids), kth, self.k, tolerance=1e-5))

    def _distances(self, ids: np.ndarray) -> np.ndarray:
        out = np.full(ids.shape, np.inf)
        for i, found in enumerate(ids):
            real = found >= 0
            rows = self.base[found[real]].astype(np.float64) - self.queries[i]
            out[i, real] = np.einsum("ij,ij->i", rows, rows)
        return out


def faiss_flat_time(base: np.ndarray, queries: np.ndarray, k: int = 10) -> float:
    """Return Faiss's time for a batch, at the better of its two thresholds."""
    faiss = faiss_module()
    index = faiss.IndexFlatL2(base.shape[1])
    index.add(base)
    times = []
    for threshold in (faiss.cvar.distance_compute_blas_threshold, 1):
        before = faiss.cvar.distance_compute_blas_threshold
        faiss.cvar.distance_compute_blas_threshold = threshold
        times.append(median_time(lambda: index.search(queries, k)))
        faiss.cvar.distance_compute_blas_threshold = before
    return min(times)
