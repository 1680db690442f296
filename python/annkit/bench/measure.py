"""Times searches: medians of several passes, each bounded by time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MODES", "Timing", "time_searches"]

Array = npt.NDArray[Any]
Search = Callable[[Array], Array]

MODES = ("single", "batch")

_PASSES = 5
_MIN_PASSES = 3
_MAX_PASSES = 25
_WARM_UP = 5


@dataclass(frozen=True)
class Timing:
    """One measurement.

    Attributes
    ----------
    qps : float
        Queries per second, the median of `passes`.
    passes : list of float
        Queries per second of every pass.
    latency_ms : dict
        Median and 99th percentile of one call in milliseconds.
    answered : ndarray of shape (m,)
        Which queries were asked.
    ids : ndarray of shape (m, k)
        What came back for them.
    """

    qps: float
    passes: list[float]
    latency_ms: dict[str, float]
    answered: Array
    ids: Array


def time_searches(search: Search, queries: Array, mode: str, seconds: float) -> Timing:
    """Time `search` for about `seconds`: one query a call (``"single"``) or all in one call (``"batch"``)."""
    return _time_single(search, queries, seconds) if mode == "single" else _time_batch(search, queries, seconds)


def _time_single(search: Search, queries: Array, seconds: float) -> Timing:
    """Go round the queries; a pass ends after its share of the time, or when it has asked every query."""
    rows = [queries[i : i + 1] for i in range(len(queries))]
    for row in rows[:_WARM_UP]:
        search(row)
    found: dict[int, Array] = {}
    passes: list[float] = []
    latencies: list[float] = []
    position = 0
    for _ in range(_PASSES):
        begin = before = time.perf_counter()
        for asked in range(1, len(rows) + 1):  # noqa: B007
            ids = search(rows[position])
            now = time.perf_counter()
            latencies.append(now - before)
            found[position] = ids
            position = (position + 1) % len(rows)
            before = now
            if now - begin > seconds / _PASSES:
                break
        passes.append(asked / (before - begin))
    answered = np.array(sorted(found))
    ids = np.concatenate([np.atleast_2d(found[i]) for i in answered])
    return Timing(statistics.median(passes), passes, _percentiles(latencies), answered, ids)


def _time_batch(search: Search, queries: Array, seconds: float) -> Timing:
    """Ask everything at once; the first call warms up and is counted only where calls are too long for three more."""
    begin = time.perf_counter()
    ids = search(queries)
    took = [time.perf_counter() - begin]
    counted = [] if took[0] * _MIN_PASSES < seconds else took
    deadline = time.perf_counter() + seconds
    while len(counted) < _MAX_PASSES:
        before = time.perf_counter()
        enough = _MIN_PASSES if took[0] < 2 * seconds else 1
        if before > deadline and len(counted) >= enough:
            break
        search(queries)
        counted.append(time.perf_counter() - before)
    passes = [len(queries) / call for call in counted]
    return Timing(statistics.median(passes), passes, _percentiles(counted), np.arange(len(queries)), ids)


def _percentiles(calls: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(np.array(calls) * 1e3, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
