"""Bars of graphs: queries a second at a recall, with a filter and without, and build times, beside hnswlib and Faiss.

All graphs of a data set are built first; then they take turns at all their settings, so that each meets the same
machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from figures import Limits, Rows, Truth, faiss_module, median_times, once, show

import annkit as ak
from annkit.bench import machine
from annkit.bench.records import qps_at

RECALLS = (0.9, 0.95, 0.99)
EFS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 240)
GAMMAS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3)
THREADS = min(2, len(machine.cores()))
_ENOUGH = 0.995


class Point(NamedTuple):
    """What one setting gives."""

    recall: float
    qps: float


@dataclass
class Graph:
    """An index to build and to search with a setting: ef or gamma alone, or with it what Refine looks at."""

    name: str
    build: Callable[[np.ndarray], Any]
    search: Callable[[Any, np.ndarray, Any], np.ndarray]
    settings: list[Any] = field(default_factory=lambda: list(EFS))
    seconds: float = 0.0
    index: Any = None
    points: list[tuple[float, list[float], Any]] = field(default_factory=list)

    def open(self, rows: Rows, truth: Truth) -> None:
        """Build, and keep the settings up to a recall that is enough."""
        begin = time.perf_counter()
        self.index = self.build(rows.base)
        self.seconds = time.perf_counter() - begin
        for setting in self.settings:
            recall = truth.recall(self.search(self.index, rows.queries, setting))
            self.points.append((recall, [], setting))
            if recall > _ENOUGH and not isinstance(setting, tuple):
                break

    def ask(self, queries: np.ndarray) -> None:
        """Pass over all settings once."""
        for _, seconds, setting in self.points:
            seconds.append(once(lambda s=setting: self.search(self.index, queries, s)))

    def qps(self, recall: float, queries: int) -> float | None:
        """Return the queries a second at a recall, by interpolation on the curve."""
        curve = [Point(found, queries / statistics.median(seconds)) for found, seconds, _ in self.points]
        return qps_at(curve, recall)


def own(name: str, make: Callable[[int], Any], k_factors: tuple[float, ...] = (), by: str = "ef") -> Graph:
    """Return one of annkit's: `make` gets the dimension. What it re-scores it settles with `k_factors`."""

    def build(base: np.ndarray) -> Any:
        return make(base.shape[1]).fit(base, threads=THREADS).add(base, threads=THREADS)

    def search(index: Any, queries: np.ndarray, setting: Any) -> np.ndarray:
        value, factor = setting
        known = {"k_factor": factor} if factor else {}
        return index.search(queries, k=10, threads=1, **{by: value}, **known).ids

    values: tuple[float, ...] = EFS if by == "ef" else GAMMAS
    settings = [(v, f) for f, v in product(k_factors or (None,), values) if by != "ef" or not f or v >= 10 * f]
    return Graph(name, build, search, settings)


def hnswlib_graph(degree: int = 32, ef_build: int = 500) -> Graph:
    """Return hnswlib's, as it is measured everywhere."""
    try:
        import hnswlib
    except ImportError as error:
        raise SystemExit("this bench needs hnswlib: pip install hnswlib") from error

    def build(base: np.ndarray) -> Any:
        index = hnswlib.Index(space="l2", dim=base.shape[1])
        index.init_index(len(base), M=degree // 2, ef_construction=ef_build)
        index.add_items(base, num_threads=THREADS)
        return index

    def search(index: Any, queries: np.ndarray, ef: int) -> np.ndarray:
        index.set_ef(ef)
        return index.knn_query(queries, k=10, num_threads=1)[0].astype(np.int64)

    return Graph("hnswlib M=16, efC=500", build, search)


def faiss_graph(degree: int = 32, ef_build: int = 200) -> Graph:
    """Return Faiss's at the same degree."""
    faiss = faiss_module()

    def build(base: np.ndarray) -> Any:
        index = faiss.IndexHNSWFlat(base.shape[1], degree // 2)
        index.hnsw.efConstruction = ef_build
        faiss.omp_set_num_threads(THREADS)
        index.add(base)
        faiss.omp_set_num_threads(1)
        return index

    def search(index: Any, queries: np.ndarray, ef: int) -> np.ndarray:
        index.hnsw.efSearch = ef
        return index.search(queries, 10)[1]

    return Graph("Faiss HNSW16, efC=200", build, search)


def graphs() -> list[Graph]:
    """Return what is compared; the first is what the others are held against."""
    sq8 = {"codec": ak.SQ(8)}
    return [
        hnswlib_graph(),
        faiss_graph(),
        own("HNSW f32", lambda _: ak.HNSW()),
        own("HNSW SQ8, RFlat", lambda _: ak.Refine(ak.HNSW(**sq8)), (1.0, 1.4, 2.0)),
        own("HNSW SQ8 48 links, RFlat", lambda _: ak.Refine(ak.HNSW(degree=48, **sq8)), (1.0, 1.4, 2.0)),
        own(
            "PCA, HNSW SQ8, RFlat",
            lambda dim: ak.Refine(ak.Pipeline(ak.PCA(min(128, dim * 3 // 4)), ak.HNSW(**sq8))),
            (1.0, 1.4, 2.0, 4.0),
        ),
    ]


def search(limits: Limits) -> None:
    """Queries a second of one thread at three recalls; build seconds; a filter; one query at a time."""
    for rows in limits.sets():
        truth, compared = Truth(rows.base, rows.queries), graphs()
        for graph in compared:
            graph.open(rows, truth)
        end, passes = time.perf_counter() + limits.seconds, 0
        while passes < 3 or time.perf_counter() < end:
            for graph in compared:
                graph.ask(rows.queries)
            passes += 1
        print(f"{rows.name}, {len(rows.base):,} rows, queries a second at a recall of {RECALLS}, {passes} passes")
        held = [compared[0].qps(recall, len(rows.queries)) for recall in RECALLS]
        for graph in compared:
            found = [graph.qps(recall, len(rows.queries)) for recall in RECALLS]
            rates = " / ".join(f"{rate:,.0f}" if rate else "-" for rate in found)
            times = " / ".join(f"{a / b:.2f}" if a and b else "-" for a, b in zip(found, held, strict=True))
            built = f"built in {graph.seconds:.1f} s, {compared[0].seconds / graph.seconds:.1f} x"
            show(f"  {graph.name}", rates, built, f"{times} x hnswlib")
        f32 = next(graph.index for graph in compared if graph.name == "HNSW f32")
        _filtered(f32, rows)
        _alone(f32, rows)


def gamma(limits: Limits) -> None:
    """Walks that end by gamma beside those that end by ef, through the same graphs, one thread."""
    kinds = (
        ("HNSW f32", lambda _: ak.HNSW(), ()),
        ("HNSW SQ8, RFlat", lambda _: ak.Refine(ak.HNSW(codec=ak.SQ(8))), (1.0, 1.4, 2.0)),
    )
    for rows in limits.sets():
        truth = Truth(rows.base, rows.queries)
        print(f"{rows.name}, {len(rows.base):,} rows, queries a second at a recall of {RECALLS}")
        for name, make, factors in kinds:
            by_ef, by_gamma = (own(name, make, factors, by) for by in ("ef", "gamma"))
            by_ef.open(rows, truth)
            by_gamma.build = lambda _, index=by_ef.index: index
            by_gamma.open(rows, truth)
            for _ in range(7):
                by_ef.ask(rows.queries)
                by_gamma.ask(rows.queries)
            rates = [[graph.qps(recall, len(rows.queries)) for recall in RECALLS] for graph in (by_ef, by_gamma)]
            shown = [" / ".join(f"{rate:,.0f}" if rate else "-" for rate in some) for some in rates]
            times = " / ".join(f"{b / a:.2f}" if a and b else "-" for a, b in zip(*rates, strict=True))
            show(f"  {name}, by gamma", shown[1], f"by ef {shown[0]}", f"{times} x")


def _filtered(index: ak.Index, rows: Rows) -> None:
    """Print the queries a second where few rows are allowed, at the recall that no filter has at ef=40."""
    generator = np.random.default_rng(0)
    plain = once(lambda: index.search(rows.queries, ef=40, threads=1))
    wanted = Truth(rows.base, rows.queries).recall(index.search(rows.queries, ef=40).ids)
    for share in (0.5, 0.1, 0.01):
        allowed = np.flatnonzero(generator.random(len(rows.base)) < share)
        truth = Truth(rows.base[allowed], rows.queries)
        to_allowed = np.full(len(rows.base) + 1, -1)
        to_allowed[allowed] = np.arange(len(allowed))
        for ef in EFS:
            found = index.search(rows.queries, ef=ef, filter=allowed, threads=1)
            if truth.recall(to_allowed[found.ids]) >= wanted - 0.01:
                break
        taken, plain = median_times(
            lambda e=ef, a=allowed: index.search(rows.queries, ef=e, filter=a, threads=1),
            lambda: index.search(rows.queries, ef=40, threads=1),
        )
        show(f"  {100 * share:g} % allowed", f"{len(rows.queries) / taken:,.0f}", f"ef={ef}", f"{plain / taken:.2f} x")


def _alone(index: ak.Index, rows: Rows) -> None:
    """Print what one query at a time makes of the batch's rate."""
    queries = list(rows.queries[:500])
    alone, batch = median_times(
        lambda: [index.search(q, ef=80, threads=1) for q in queries],
        lambda: index.search(rows.queries[:500], ef=80, threads=1),
    )
    show("  one query at a time, ef=80", f"{500 / alone:,.0f}", "", f"{batch / alone:.2f} x the batch")
