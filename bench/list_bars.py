"""Bars of inverted lists: queries a second at a recall, latency, build time and memory, beside Faiss and ScaNN.

Every index of annkit and of Faiss is built first; then all take turns at all their settings, so that each meets the
same machine. ScaNN, whose OpenMP runtime would disturb them, runs in a process of its own.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product, zip_longest
from typing import Any

import numpy as np
from figures import Limits, Rows, Truth, divisor, faiss_module, median_times, mixture, once, show

import annkit as ak
from annkit.bench import machine, runner
from annkit.bench.contenders import by_name
from annkit.bench.records import Record, qps_at
from annkit.datasets import Dataset

RECALLS = (0.9, 0.95, 0.99)
PROBES = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200)
# What a second thread does for building; the search is of one.
BUILD_THREADS = min(2, len(machine.cores()))
_ENOUGH = 0.995
# Settings below it say nothing about the recalls of interest.
_LEAST = 0.8
# One pass errs by so much: what another setting beats by more is not measured again.
_SLACK = 1.2


@dataclass
class Setting:
    """One way to search an index, and what came of it."""

    search: Callable[[np.ndarray], np.ndarray]
    name: str
    recall: float
    seconds: list[float]
    queries: int

    @property
    def qps(self) -> float:
        """Return the median of the passes."""
        return self.queries / statistics.median(self.seconds)


@dataclass
class Method:
    """An index to build, and how to search it at `nprobe` and `k_factor` (None: it re-ranks nothing)."""

    name: str
    build: Callable[[np.ndarray], Any]
    search: Callable[[Any, np.ndarray, int, int | None], np.ndarray]
    lists: int
    k_factors: tuple[int, ...] = ()
    build_seconds: float = 0.0
    settings: list[Setting] = field(default_factory=list)

    def open(self, rows: Rows, truth: Truth) -> None:
        """Build, ask every setting once, and keep those on the front, or near it."""
        begin = time.perf_counter()
        index = self.build(rows.base)
        self.build_seconds = time.perf_counter() - begin
        seen = [s for factor in self.k_factors or (None,) for s in self._sweep(index, factor, rows.queries, truth)]
        front = [s for s in seen if not any(t.recall >= s.recall and t.qps > _SLACK * s.qps for t in seen)]
        below = [s for s in front if s.recall < _LEAST]
        self.settings = [*sorted(below, key=lambda s: s.recall)[-1:], *(s for s in front if s.recall >= _LEAST)]

    def _sweep(self, index: Any, factor: int | None, queries: np.ndarray, truth: Truth) -> Iterator[Setting]:
        """Yield one setting a probe until nothing is left to gain."""
        before = -1.0
        for probe in (p for p in PROBES if p <= self.lists):
            search = self._search(index, probe, factor)
            search(queries[:50])
            begin = time.perf_counter()
            ids = search(queries)
            seconds = time.perf_counter() - begin
            name = f"nprobe={probe}" + (f", k_factor={factor}" if factor else "")
            reached = truth.recall(ids)
            yield Setting(search, name, reached, [seconds], len(queries))
            if reached >= _ENOUGH or reached < before + 1e-4:
                return
            before = reached

    def _search(self, index: Any, probe: int, factor: int | None) -> Callable[[np.ndarray], np.ndarray]:
        return lambda queries: self.search(index, queries, probe, factor)


def numbers_of_lists(n: int) -> list[int]:
    """Return what both sides try."""
    return [round(factor * math.sqrt(n)) for factor in (1, 2, 4)]


def own_methods(n: int, dim: int) -> Iterator[Method]:
    """Yield annkit's indexes."""
    several = numbers_of_lists(n)
    for lists in several:
        yield own(f"IVF{lists}, SQ(8)", lists, ak.IVF(lists=lists, codec=ak.SQ(8)))
    for lists in several:
        # Residuals: as good as rows where dimensions are alike, better where one is wider than the others.
        base = ak.IVF(lists=lists, codec=ak.SQ(8), residual=True)
        yield own(f"IVF{lists}, SQ(8) of residuals", lists, base)
        yield own(f"IVF{lists}, SQ(8) of residuals, Refine f16", lists, ak.Refine(base, codec=ak.Raw("f16")), (2, 4))
    for share in (2, 4, 8):
        for lists in several[:2] if dim // share >= 32 else ():
            base = ak.Pipeline(ak.PCA(dim // share), ak.IVF(lists=lists, codec=ak.SQ(8)))
            name = f"PCA({dim // share}), IVF{lists}, SQ(8), Refine f16"
            yield own(name, lists, ak.Refine(base, codec=ak.Raw("f16")), (2, 4, 10))
    middle = several[1]
    yield own(f"IVF{middle}, Raw", middle, ak.IVF(lists=middle))
    m = divisor(dim, dim // 2)
    for lists in several[1:]:
        base = ak.IVF(lists=lists, codec=ak.PQ(m, bits=4))
        yield own(f"IVF{lists}, PQ({m}, bits=4), Refine", lists, ak.Refine(base), (4, 10, 30))


def own(name: str, lists: int, index: ak.Index, k_factors: tuple[int, ...] = ()) -> Method:
    """Return a method of annkit."""

    def built(base: np.ndarray) -> ak.Index:
        return copy.copy(index).fit(base, threads=BUILD_THREADS).add(base, threads=BUILD_THREADS)

    def search(index: ak.Index, queries: np.ndarray, probe: int, factor: int | None) -> np.ndarray:
        how = {"nprobe": probe} if factor is None else {"nprobe": probe, "k_factor": factor}
        return index.search(queries, k=10, threads=1, **how).ids

    return Method(name, built, search, lists, k_factors)


def faiss_methods(n: int, dim: int) -> Iterator[Method]:
    """Yield Faiss's indexes, over as many lists as annkit's."""
    for lists in numbers_of_lists(n):
        yield peer(f"IVF{lists},Flat", lists, dim)
        yield peer(f"IVF{lists},SQ8", lists, dim)
        yield peer(f"IVF{lists},PQ{divisor(dim, dim // 2)}x4fs,RFlat", lists, dim, (4, 10, 30))
        yield peer(f"IVF{lists},RaBitQfs,RFlat", lists, dim, (10, 30, 100))


def peer(key: str, lists: int, dim: int, k_factors: tuple[int, ...] = ()) -> Method:
    """Return a method of Faiss."""
    faiss = faiss_module()

    def built(base: np.ndarray) -> Any:
        faiss.omp_set_num_threads(BUILD_THREADS)
        index = faiss.index_factory(dim, key)
        index.train(base)
        index.add(base)
        faiss.omp_set_num_threads(1)
        return index

    def search(index: Any, queries: np.ndarray, probe: int, factor: int | None) -> np.ndarray:
        faiss.extract_index_ivf(index).nprobe = probe
        if factor is not None:
            index.k_factor = factor
        return index.search(queries, 10)[1]

    return Method(key, built, search, lists, k_factors)


def search(limits: Limits) -> None:
    """Queries a second at a recall, the best of annkit's indexes beside the best of the peers', and latency."""
    for rows in limits.sets():
        truth = Truth(rows.base, rows.queries)
        mine, theirs = (list(make(*rows.base.shape)) for make in (own_methods, faiss_methods))
        turns = [method for pair in zip_longest(mine, theirs) for method in pair if method is not None]
        for method in turns:
            method.open(rows, truth)
        take_turns(turns, rows.queries, limits.seconds)
        scann = scann_records(rows, limits.seconds)
        for method in turns:
            rates = [qps_at(method.settings, recall) for recall in RECALLS]
            words = " / ".join("–" if rate is None else f"{rate:,.0f}" for rate in rates)
            print(f"    {method.name:44} {words:>30} queries/s, built in {method.build_seconds:.1f} s", flush=True)
        for recall in RECALLS:
            verdict(f"{rows.name}, recall {recall}", recall, mine, theirs, scann)
            latency(rows, recall, mine, theirs, scann)


def take_turns(methods: list[Method], queries: np.ndarray, seconds: float) -> None:
    """Ask every setting in turn until the time is spent, twice at least."""
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < 2 or (rounds < 25 and time.perf_counter() < end):
        for method in methods:
            for setting in method.settings:
                setting.seconds.append(once(lambda s=setting: s.search(queries)))
        rounds += 1
    for method in methods:  # the first pass met a cold index
        for setting in method.settings:
            del setting.seconds[0]


def scann_records(rows: Rows, seconds: float) -> list[Record]:
    """Return what ScaNN reaches, or nothing where it is not installed."""
    contender = by_name("scann")
    if contender.missing():
        return []
    data = Dataset(rows.name, rows.base, rows.queries, "ip" if rows.unit else "l2")
    cell = min(1.0, max(0.1, seconds / 150))
    plan = runner.Plan([(data, [contender])], [1], 10, 100, cell, None, 3600.0)
    return runner.run(plan, _Quiet())


class _Quiet:
    """A `Watcher` that tells of failures only."""

    def preparing(self, data: Dataset) -> None:
        pass

    def starting(self, data: Dataset, contender: Any) -> None:
        pass

    def finished(self, data: Dataset, contender: Any, found: list[Record], failure: str | None) -> None:
        if failure:
            print(f"    {contender.name}: {failure}", flush=True)


def best(methods: list[Method], recall: float) -> tuple[float, Method] | None:
    """Return the highest rate at a recall and whose it is; points of different methods are not joined."""
    rates = [(rate, method) for method in methods if (rate := qps_at(method.settings, recall)) is not None]
    return max(rates, key=lambda pair: pair[0], default=None)


def verdict(what: str, recall: float, mine: list[Method], theirs: list[Method], scann: list[Record]) -> None:
    """Print the best rate beside Faiss's best and ScaNN's."""
    ours, faiss = best(mine, recall), best(theirs, recall)
    if ours is None:
        show(what, "not reached", "", "")
        return
    rate, method = ours
    show(what, f"{rate:,.0f} queries/s", method.name, f"{rate / faiss[0]:.2f} x Faiss (2)" if faiss else "Faiss –")
    if faiss:
        show("", f"{faiss[0]:,.0f} queries/s", f"Faiss {faiss[1].name}", "")
    other = qps_at([r for r in scann if r.mode == "batch"], recall)
    if other:
        show("", f"{other:,.0f} queries/s", "ScaNN", f"{rate / other:.2f} x ScaNN (1.3)")


def latency(rows: Rows, recall: float, mine: list[Method], theirs: list[Method], scann: list[Record]) -> None:
    """Print the median microseconds of one query at the fastest setting that reaches the recall."""
    chosen = []
    for methods in (mine, theirs):
        able = [s for method in methods for s in method.settings if s.recall >= recall]
        if not able:
            return
        chosen.append(max(able, key=lambda s: s.qps))
    queries = [rows.queries[i : i + 1] for i in range(min(200, len(rows.queries)))]
    times: tuple[list[float], list[float]] = ([], [])
    for query in queries:
        for setting, taken in zip(chosen, times, strict=True):
            setting.search(query)  # brings the lists into the cache for both alike
            taken.append(once(lambda s=setting, q=query: s.search(q)))
    own_us, faiss_us = (1e6 * statistics.median(taken) for taken in times)
    alone = [r.latency_ms["p50"] * 1e3 for r in scann if r.mode == "single" and r.recall >= recall]
    show(
        "    one query",
        f"{own_us:.0f} us",
        f"Faiss {faiss_us:.0f} us" + (f", ScaNN {min(alone):.0f} us" if alone else ""),
        f"{faiss_us / own_us:.2f} x Faiss",
    )


def build(limits: Limits) -> None:
    """Seconds to fit and fill IVF over PQ with two threads."""
    for rows in limits.sets():
        n, dim = rows.base.shape
        lists, m = round(4 * math.sqrt(n)), divisor(dim, dim // 2)
        ours = own("", lists, ak.IVF(lists=lists, codec=ak.PQ(m, bits=4)))
        theirs = peer(f"IVF{lists},PQ{m}x4fs", lists, dim)
        times: list[list[float]] = [[], []]
        for _ in range(3):
            for method, taken in zip((ours, theirs), times, strict=True):
                taken.append(once(lambda m=method, x=rows.base: m.build(x)))
        seconds, peer_seconds = map(statistics.median, times)
        show(
            f"IVF{lists}, PQ({m}, bits=4), build, {rows.name}",
            f"{seconds:.2f} s",
            f"{BUILD_THREADS} threads, {n:,} rows",
            f"{peer_seconds / seconds:.2f} x Faiss (1)",
        )


def memory(limits: Limits) -> None:
    """Bytes of IVF over PQ at 1000 rows a list, beside those of codes, ids of 8 bytes and centroids alone."""
    n = limits.bounded(100_000)
    lists = max(1, n // 1000)
    given = {"counting": None, "below 2^32": np.arange(n) * 7 + 3, "of 63 bits": np.arange(n) * 2**43}
    for dim, m, bits in ((128, 32, 4), (128, 64, 4), (128, 32, 8), (768, 96, 4), (768, 32, 8)):
        base, _ = mixture(n, dim, 1)
        index = ak.IVF(lists=lists, codec=ak.PQ(m, bits=bits)).fit(base[: 20 * lists])
        least = n * m * bits // 8 + 8 * n + lists * dim * 4
        for name, ids in given.items():
            filled = copy.copy(index).add(base, ids)
            parts = {part: size for part, size in filled.memory().items() if size}
            show(
                f"IVF{lists}, PQ({m}, bits={bits}), d={dim}, {n:,} rows, ids {name}",
                f"{filled.nbytes / n:.1f} bytes a row",
                f"least {least / n:.1f}",
                f"{100 * (filled.nbytes / least - 1):+.1f} % (+5)",
            )
            print("    " + ", ".join(f"{part} {size / n:.1f}" for part, size in parts.items()))


def filtered(limits: Limits) -> None:
    """Lists of which a filter lets some rows through, beside Faiss with a bitmap of them; one thread."""
    faiss = faiss_module()
    for rows in limits.sets():
        n, dim = rows.base.shape
        lists, queries = max(16, round(n**0.5)), rows.queries[:500]
        floats, codes = (
            ak.IVF(lists=lists, codec=codec).fit(rows.base, threads=BUILD_THREADS).add(rows.base, threads=BUILD_THREADS)
            for codec in (ak.Raw(), ak.SQ(8))
        )
        other = faiss.index_factory(dim, f"IVF{lists},Flat")
        other.train(rows.base)
        other.add(rows.base)
        for share, nprobe in product((1.0, 0.5, 0.1, 0.03, 0.01, 0.001), (16, lists)):
            mask = np.random.default_rng(0).random(n) < share
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")) if share < 1 else None
            of_peer = faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)
            asked = {"nprobe": nprobe, "threads": 1, "filter": mask if share < 1 else None}
            own = [partial(index.search, queries, 10, **asked) for index in (floats, codes)]
            whole, compact, peer = median_times(*own, partial(other.search, queries, 10, params=of_peer), seconds=0.5)
            show(
                f"{rows.name}, {100 * share:g} % allowed, nprobe={nprobe}",
                f"{1e6 * whole / len(queries):.1f} us a query",
                f"SQ8 {1e6 * compact / len(queries):.1f} us",
                f"{peer / whole:.1f} x Faiss's floats",
            )


def coarse(limits: Limits) -> None:
    """Lists that a graph of the centroids finds, beside comparing all of them; where rows go, both ways."""
    for rows in limits.sets():
        base, some = rows.base, rows.base[:50_000]
        for lists in (4096, 16_384, 32_768):
            if len(base) < 2 * lists:
                continue
            sample = base[: 4 * lists]
            compared, graph = (
                ak.IVF(lists=lists, codec=ak.SQ(8), coarse=coarse).fit(sample, threads=BUILD_THREADS)
                for coarse in (None, ak.HNSW(degree=64))
            )
            add = once(lambda index=compared, x=some: index.add(x, threads=1))
            graph.add(some, threads=1)
            centroids = ak.HNSW(degree=64).add(sample[:lists], threads=BUILD_THREADS)
            walk = once(lambda index=centroids, x=some: index.search(x, k=1, threads=1))
            for count in (1000, 1):
                queries = rows.queries[:count]
                all_of, by_graph = median_times(
                    *(lambda i=index, q=queries: i.search(q, nprobe=32, threads=1) for index in (compared, graph))
                )
                show(
                    f"{rows.name}, {lists:,} lists, {count} queries, nprobe=32",
                    f"{1e6 * by_graph / count:.1f} us a query",
                    f"{1e6 * all_of / count:.1f} us compared",
                    f"{all_of / by_graph:.2f} x",
                )
            show(
                f"{rows.name}, {lists:,} lists, {len(some):,} rows to their lists",
                f"{walk:.2f} s by a graph",
                f"{add:.2f} s compared and coded",
                f"{walk / add:.2f} x",
            )
