"""Bars of graphs: queries a second at a recall, build times and memory, beside the graphs of other libraries.

All graphs of a data set are built first; then they take turns at all their settings, so that each meets the same
machine. Peers have the degree of annkit's graphs, where they let one choose, and the effort that their makers or
peers.md of ann-benchmarks give them; those that are not installed are left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from figures import Limits, Rows, Truth, median_times, once, show

import annkit as ak
from annkit.bench import machine
from annkit.bench.contenders.base import Contender, Task
from annkit.bench.contenders.faiss_peers import FaissFactory
from annkit.bench.contenders.graph_peers import Hnswlib, Rabitqlib, Svs, Usearch, Vsag
from annkit.bench.memory import growth_of
from annkit.bench.records import qps_at

RECALLS = (0.9, 0.95, 0.99)
EFS = (10, 14, 20, 28, 40, 56, 80, 112, 160, 240, 400)
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
    prepare: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
    seconds: float = 0.0
    kept: int = 0
    index: Any = None
    points: list[tuple[float, list[float], Any]] = field(default_factory=list)

    def open(self, rows: Rows, truth: Truth) -> None:
        """Build, and keep the settings up to a recall that is enough."""
        base, queries = self.prepare(rows.base), self.prepare(rows.queries)
        begin = time.perf_counter()
        self.index, grown = growth_of(lambda: self.build(base))
        self.seconds, self.kept = time.perf_counter() - begin, grown.kept
        for setting in self.settings:
            recall = truth.recall(self.search(self.index, queries, setting))
            self.points.append((recall, [], setting))
            if recall > _ENOUGH and not isinstance(setting, tuple):
                break

    def ask(self, queries: np.ndarray) -> None:
        """Pass over all settings once."""
        prepared = self.prepare(queries)
        for _, seconds, setting in self.points:
            seconds.append(once(lambda s=setting: self.search(self.index, prepared, s)))

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


# What others are, each with its efConstruction (Svs has a window of its own). Faiss's HNSW16 has 32 links, as M=16 of
# hnswlib and usearch has.
PEERS: tuple[tuple[Contender, int], ...] = (
    (Hnswlib(), 500),
    (FaissFactory("HNSW16,Flat", "graph"), 200),
    (FaissFactory("HNSW16,SQ8", "graph"), 200),
    (Usearch("bf16"), 256),
    (Usearch("i8"), 256),
    (Vsag("sq8_uniform"), 300),
    (Vsag("rabitq"), 300),
    (Svs(degree=32), 0),
    (Rabitqlib(0), 400),
)


def peers(rows: Rows) -> list[Graph]:
    """Return the peers that are installed and take such rows; hnswlib, which others are held against, first."""
    found = []
    for contender, effort in PEERS:
        task = _task(rows, effort)
        if missing := contender.missing():
            if contender.library == "hnswlib":
                raise SystemExit(f"this bench needs hnswlib: {missing}")
            print(f"  {contender.name} is left out: {missing}")
        elif not contender.supports(task):
            print(f"  {contender.name} is left out: it does not take {rows.name}")
        else:
            found.append(_peer(contender, task))
    return found


def _task(rows: Rows, effort: int) -> Task:
    whole = rows.base.min() >= 0 and rows.base.max() <= 255 and not np.any(rows.base % 1)
    metric = "cosine" if rows.unit else "l2"
    return Task(*rows.base.shape, "uint8" if whole else "float32", metric, 10, THREADS, effort)


def _peer(contender: Contender, task: Task) -> Graph:
    def build(base: np.ndarray) -> Contender:
        contender.build(base, task)
        return contender

    contender.module()  # loading a library is no build
    (setting,) = contender.settings(task)[0]
    return Graph(
        f"{contender.name}, efC={task.ef_construction}" if task.ef_construction else contender.name,
        build,
        lambda index, queries, ef: index.searcher(10, {setting: ef}, 1)(queries),
        prepare=lambda rows: contender.prepare(rows, task),
    )


def own_graphs() -> list[Graph]:
    """Return annkit's: float rows, and compact ones with what finds the best among them."""
    sq8, sq4 = ak.SQ(8), ak.SQ(4)
    f16 = {"codec": ak.Raw("f16")}
    return [
        own("HNSW f32", lambda _: ak.HNSW()),
        own("HNSW SQ8, Rf16", lambda _: ak.Refine(ak.HNSW(codec=sq8), **f16), (1.0, 1.4, 2.0)),
        own("HNSW SQ4 by SQ8, Rf16", lambda _: ak.Refine(ak.HNSW(codec=sq4, build_codec=sq8), **f16), (1.0, 2.0, 4.0)),
        own("HNSW SQ8 48 links, Rf16", lambda _: ak.Refine(ak.HNSW(degree=48, codec=sq8), **f16), (1.0, 1.4, 2.0)),
        own(
            "PCA, HNSW SQ8, Rf16",
            lambda dim: ak.Refine(ak.Pipeline(ak.PCA(min(128, dim * 3 // 4)), ak.HNSW(codec=sq8)), **f16),
            (1.0, 1.4, 2.0, 4.0),
        ),
    ]


def search(limits: Limits) -> None:
    """Queries a second of one thread at three recalls; build seconds; a filter; one query at a time."""
    for rows in limits.sets():
        truth, compared = Truth(rows.base, rows.queries), [*peers(rows), *own_graphs()]
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
            built = f"{graph.seconds:.1f} s, {graph.kept / len(rows.base):.0f} bytes a row"
            show(f"  {graph.name}", rates, built, f"{times} x hnswlib")
        f32, sq8 = (next(g.index for g in compared if g.name == name) for name in ("HNSW f32", "HNSW SQ8, Rf16"))
        _filtered(f32, compared[0].index.index, rows)
        for index in (f32, sq8):
            _alone(index, rows)


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


def _filtered(index: ak.Index, hnswlib: Any, rows: Rows) -> None:
    """Print the queries a second where few rows are allowed, at the recall that no filter has at ef=40."""
    few = rows._replace(queries=rows.queries[:200])
    wanted = Truth(few.base, few.queries).recall(index.search(few.queries, ef=40).ids) - 0.01
    for share in (0.5, 0.1, 0.01):
        _allowed(index, hnswlib, few, np.random.default_rng(0).random(len(few.base)) < share, wanted)


def _allowed(index: ak.Index, hnswlib: Any, rows: Rows, mask: np.ndarray, wanted: float) -> None:
    """Print the queries a second where `mask` says what is allowed: hnswlib calls a Python function of an id."""
    allowed, permits = np.flatnonzero(mask), mask.tolist().__getitem__
    truth = Truth(rows.base[allowed], rows.queries)
    to_allowed = np.append(np.where(mask, np.cumsum(mask) - 1, -1), -1)

    def ask(ef: int) -> np.ndarray:
        return index.search(rows.queries, ef=ef, filter=allowed, threads=1).ids

    def ask_peer(ef: int) -> np.ndarray:
        hnswlib.set_ef(ef)
        return hnswlib.knn_query(rows.queries, k=10, num_threads=1, filter=permits)[0].astype(np.int64)

    def first(search: Callable[[int], np.ndarray]) -> int:
        return next((ef for ef in EFS if truth.recall(to_allowed[search(ef)]) >= wanted), EFS[-1])

    ef, peer_ef = first(ask), first(ask_peer)
    taken, peer, plain = median_times(
        lambda: ask(ef), lambda: ask_peer(peer_ef), lambda: index.search(rows.queries, ef=40, threads=1)
    )
    show(
        f"  {100 * len(allowed) / len(mask):.0f} % allowed",
        f"{len(rows.queries) / taken:,.0f}",
        f"ef={ef}, {plain / taken:.2f} x all",
        f"{peer / taken:.1f} x hnswlib, ef={peer_ef}",
    )


def _alone(index: ak.Index, rows: Rows) -> None:
    """Print what one query at a time makes of the batch's rate."""
    queries = list(rows.queries[:500])
    alone, batch = median_times(
        lambda: [index.search(q, ef=80, threads=1) for q in queries],
        lambda: index.search(rows.queries[:500], ef=80, threads=1),
    )
    show(
        f"  one query at a time, ef=80, {index.factory}", f"{500 / alone:,.0f}", "", f"{batch / alone:.2f} x the batch"
    )
