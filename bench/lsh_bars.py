"""Bars of LSH tables: queries a second at a recall, build time and memory, beside Faiss's LSH with refinement.

Faiss's best is looked for among numbers of bits and of candidates, annkit's among families, tables, bits and settings.
All are built first; then those on a front take turns.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from figures import Limits, Rows, Truth, faiss_module, once, show

import annkit as ak
from annkit.bench.records import qps_at

RECALLS = (0.8, 0.9, 0.95)
PROBES = (8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 2048)
CANDIDATES = (50, 100, 200, 400)
K_FACTORS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
_ENOUGH = 0.96
_LEAST = 0.7
# One pass errs by so much: what another setting beats by more is not measured again.
_SLACK = 1.2


@dataclass
class Setting:
    """One way to search an index, and what came of it."""

    words: str
    search: Callable[[np.ndarray], np.ndarray]
    recall: float
    queries: int
    seconds: list[float]

    @property
    def qps(self) -> float:
        """Return the median of the passes."""
        return self.queries / statistics.median(self.seconds)


@dataclass
class Method:
    """An index to build, and how to search it: rows of settings, each swept until recall is enough."""

    name: str
    build: Callable[[np.ndarray], Any]
    search: Callable[[Any, np.ndarray, Any], np.ndarray]
    sweeps: list[list[tuple[str, Any]]]
    nbytes: Callable[[Any], int]
    build_seconds: float = 0.0
    bytes_a_row: float = 0.0
    settings: list[Setting] = field(default_factory=list)

    def open(self, rows: Rows, truth: Truth) -> None:
        """Build, ask every setting once, and keep those on the front, or near it."""
        begin = time.perf_counter()
        index = self.build(rows.base)
        self.build_seconds = time.perf_counter() - begin
        self.bytes_a_row = self.nbytes(index) / len(rows.base)
        seen = [setting for sweep in self.sweeps for setting in self._sweep(index, sweep, rows.queries, truth)]
        self.settings = [
            one
            for one in seen
            if one.recall >= _LEAST
            and not any(other.recall >= one.recall and other.qps > _SLACK * one.qps for other in seen)
        ]

    def _sweep(self, index: Any, sweep: list[tuple[str, Any]], queries: np.ndarray, truth: Truth) -> Iterator[Setting]:
        before = -1.0
        for words, given in sweep:
            begin = time.perf_counter()
            ids = self.search(index, queries, given)
            seconds = time.perf_counter() - begin
            reached = truth.recall(ids)
            yield Setting(words, lambda q, g=given: self.search(index, q, g), reached, len(queries), [seconds])
            if reached >= _ENOUGH or reached < before + 1e-4:
                return
            before = reached


def peer(bits: int, dim: int) -> Method:
    """Return Faiss's LSH over so many random directions, behind a rotation, with exact scores of its candidates."""
    faiss = faiss_module()

    def build(base: np.ndarray) -> Any:
        index = faiss.IndexRefineFlat(faiss.IndexLSH(dim, bits, True, False))
        index.train(base)
        index.add(base)
        return index

    def search(index: Any, queries: np.ndarray, k_factor: int) -> np.ndarray:
        index.k_factor = k_factor
        return index.search(queries, 10)[1]

    sweep = [(f"k_factor={factor}", factor) for factor in K_FACTORS]
    return Method(f"Faiss LSH{bits}, RFlat", build, search, [sweep], lambda index: index.ntotal * (bits // 8 + 4 * dim))


def own(metric: str, **shape: Any) -> Method:
    """Return annkit's tables."""

    def build(base: np.ndarray) -> Any:
        return ak.LSHTables(metric=metric, **shape).fit(base, threads=1).add(base, threads=1)

    def search(index: ak.Index, queries: np.ndarray, given: dict[str, int]) -> np.ndarray:
        return index.search(queries, k=10, threads=1, **given).ids

    sweeps = [
        [(f"probes={p}, candidates={c}", {"probes": p, "candidates": c}) for p in PROBES if p <= 2 ** shape["bits"]]
        for c in CANDIDATES
    ]
    name = f"{shape['family']}, {shape['tables']} x 2^{shape['bits']}, sketch={shape['sketch']}"
    return Method(name, build, search, sweeps, lambda index: index.nbytes)


def own_methods(n: int, metric: str) -> Iterator[Method]:
    """Yield what is compared."""
    bits = max(round(math.log2(n)) - 6, 4)
    for family in ("hyperplane", "p-stable", "cross-polytope"):
        yield own(metric, family=family, tables=1, bits=bits, sketch=256)
    yield own(metric, family="hyperplane", tables=1, bits=bits, sketch=128)
    yield own(metric, family="hyperplane", tables=2, bits=bits, sketch=256)


def search(limits: Limits) -> None:
    """Queries a second of one thread at three recalls, build seconds and memory."""
    for rows in limits.sets():
        n, dim = rows.base.shape
        truth = Truth(rows.base, rows.queries)
        theirs = [peer(bits, dim) for bits in (256, 384, 512, 768)]
        mine = list(own_methods(n, "cosine" if rows.unit else "l2"))
        for method in theirs + mine:
            method.open(rows, truth)
        end, passes = time.perf_counter() + limits.seconds, 0
        while passes < 3 or time.perf_counter() < end:
            for method in theirs + mine:
                for setting in method.settings:
                    setting.seconds.append(once(lambda s=setting, q=rows.queries: s.search(q)))
            passes += 1
        print(f"{rows.name}, {n:,} rows of {dim}, queries a second at a recall of {RECALLS}, {passes} passes")
        best = [max((qps_at(m.settings, recall) or 0.0) for m in theirs) for recall in RECALLS]
        for method in theirs + mine:
            found = [qps_at(method.settings, recall) for recall in RECALLS]
            rates = " / ".join(f"{rate:,.0f}" if rate else "-" for rate in found)
            times = " / ".join(f"{a / b:.2f}" if a and b else "-" for a, b in zip(found, best, strict=True))
            size = f"{method.bytes_a_row:.0f} B a row ({method.bytes_a_row - 4 * dim:.0f} beside f32)"
            show(f"  {method.name}", rates, f"{size}, built in {method.build_seconds:.1f} s", f"{times} x Faiss")
        for recall in RECALLS:
            able = [(s.qps, m.name, s.words) for m in mine for s in m.settings if s.recall >= recall]
            if able:
                print(f"    recall {recall}: {max(able)[1]}, {max(able)[2]}")
