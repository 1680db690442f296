"""LSH tables that are chosen by what they measure on the rows at hand."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from annkit import metrics
from annkit._core import Codec, Flat, Index, LSHTables
from annkit._tuning import TuneResult, tune

FAMILIES = ("hyperplane", "p-stable", "cross-polytope")
_LEAST_ROWS = 100
_SAMPLE = 100_000
_QUERIES = 400
_TABLES = (1, 2, 4)
# Less time for a shape finds no settings for it: then fewer shapes are tried.
_LEAST_SECONDS = 0.4
# Rows a bucket, as a power of two.
_LOADS = (4, 6, 8)


class TunedLSH(NamedTuple):
    """What ``LSHTables.tuned`` chose.

    Attributes
    ----------
    tables : LSHTables
        With all rows in it.
    settings : dict
        Keywords of its ``search``.
    recall : float
        What they gave, for rows taken as queries.
    qps : float
        Queries a second.
    reached : bool
        Whether ``recall`` is what was asked for, or more.
    """

    tables: LSHTables
    settings: dict[str, float]
    recall: float
    qps: float
    reached: bool


class _Shape(NamedTuple):
    family: str
    tables: int
    load: int

    def make(self, rows: int, metric: str, codec: Codec | None) -> LSHTables:
        bits = min(max(round(math.log2(rows)) - self.load, 2), 22)
        return LSHTables(family=self.family, tables=self.tables, bits=bits, metric=metric, codec=codec)  # type: ignore[arg-type]


def _shapes(families: Sequence[str]) -> Iterator[_Shape]:
    """Yield what to try, the likeliest first."""
    for tables in _TABLES:
        for family in families:
            for load in _LOADS[1:2] if tables > 1 else _LOADS:
                yield _Shape(family, tables, load)


class _Trial:
    """Rows that are searched, and others that are not among them to search with."""

    def __init__(self, rows: np.ndarray, held: np.ndarray, metric: str, k: int, threads: int | None) -> None:
        self.rows, self.held, self.k, self.threads = rows, held, min(k, len(rows) - len(held)), threads
        exact = Flat(metric=metric).add(rows, threads=threads)  # type: ignore[arg-type]
        self.truth = exact.remove(held).search(rows[held], self.k, threads=threads).ids

    def run(self, index: Index, recall: float, within: float) -> TuneResult:
        """Return what tuning makes of an index with all rows; it loses those held out."""
        index.remove(self.held)
        queries = self.rows[self.held]
        return tune(index, queries, self.truth, recall, within=within, k=self.k, threads=self.threads)

    def go_on(self, index: LSHTables, found: TuneResult, recall: float) -> TuneResult:
        """Widen settings until they reach the recall, however long it takes: all buckets and rows are exact."""
        most = {"probes": 2**index.bits, "candidates": len(index)}
        while not found.reached and any(found.settings[name] < most[name] for name in most):
            wider = [
                found.settings | {name: min(2 * int(found.settings[name]), most[name])}
                for name in most
                if found.settings[name] < most[name]
            ]
            found = max((self._measure(index, settings, recall) for settings in wider), key=lambda one: one.recall)
        return found

    def _measure(self, index: LSHTables, settings: dict[str, float], recall: float) -> TuneResult:
        start = time.perf_counter()
        ids = index.search(self.rows[self.held], self.k, threads=self.threads, **settings).ids  # type: ignore[arg-type]
        qps = len(self.held) / (time.perf_counter() - start)
        reached = float(metrics.recall(ids, self.truth))
        return TuneResult(settings, reached, qps, reached >= recall, [])


def _rank(found: TuneResult) -> tuple[bool, float]:
    return found.reached, found.qps if found.reached else found.recall


def tuned(
    x: ArrayLike,
    recall: float,
    k: int,
    metric: str,
    codec: Codec | None,
    families: Sequence[str] | None,
    within: float,
    seed: int,
    threads: int | None,
) -> TunedLSH:
    """See LSHTables.tuned."""
    rows = np.asarray(x)
    if rows.ndim != 2 or len(rows) < _LEAST_ROWS:
        raise ValueError(f"x has shape {rows.shape}, expected (n, dim) with at least {_LEAST_ROWS} rows")
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    if not 0 < recall <= 1:
        raise ValueError(f"recall is {recall}, expected more than 0 and at most 1")
    if not 0 < within < float("inf"):
        raise ValueError(f"within is {within}, expected a number of seconds above 0")
    chosen = FAMILIES if families is None else tuple(families)
    if not chosen:
        raise ValueError("families is empty, expected one or more")
    for family in chosen:
        LSHTables(family=family, metric=metric, codec=codec)  # type: ignore[arg-type]

    rng = np.random.default_rng(seed)
    sample = rows
    if len(rows) > _SAMPLE:
        sample = rows[np.sort(rng.choice(len(rows), _SAMPLE, replace=False))]
    held = np.sort(rng.choice(len(sample), min(_QUERIES, len(sample) // 10), replace=False))
    trial = _Trial(sample, held, metric, k, threads)
    shapes = list(_shapes(chosen))
    share, end = max(within * 0.6 / len(shapes), _LEAST_SECONDS), time.perf_counter() + within * 0.8
    best: tuple[tuple[bool, float], _Shape, TuneResult] | None = None
    for shape in shapes:
        if best is not None and best[0][0] and time.perf_counter() > end:
            break
        index = shape.make(len(sample), metric, codec).fit(sample, seed=seed, threads=threads)
        found = trial.run(index.add(sample, threads=threads), recall, share)
        if best is None or _rank(found) > best[0]:
            best = _rank(found), shape, found
    assert best is not None
    _, shape, found = best
    index = shape.make(len(rows), metric, codec).fit(rows, seed=seed, threads=threads).add(rows, threads=threads)
    if sample is not rows:
        held = np.sort(rng.choice(len(rows), _QUERIES, replace=False))
        trial = _Trial(rows, held, metric, k, threads)
    searched = copy.copy(index)
    last = trial.run(searched, recall, within * 0.3)  # with more time than each had so far
    if sample is not rows or _rank(last) > _rank(found):
        found = last
    found = trial.go_on(searched, found, recall)
    return TunedLSH(index, found.settings, found.recall, found.qps, found.reached)
