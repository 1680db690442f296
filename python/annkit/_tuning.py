"""The search settings with which an index reaches a recall soonest."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit import metrics
from annkit._core import Index
from annkit._results import SearchResult

_FACTORS = (1.0, 4.0, 16.0, 64.0)
# Candidates of LSH tables for each neighbour wanted: their sketches tell less than the codes that Refine starts from.
_CANDIDATE_FACTORS = (5.0, 20.0, 80.0, 320.0)
_SPREADS = (1.1, 1.2, 1.35, 1.5, 2.0)
# How the number of lists or buckets that a query visits is called, or of a graph's candidates.
_PROBES = ("nprobe", "probes", "ef")
# Between them lies what ends a walk by distance at the recalls that are asked for; so many steps find it to a seventh.
_GAMMAS = (0.005, 0.32)
_GAMMA_STEPS = 5
# Doubling it gains so little only where what is missing lies beyond the lists.
_LEAST_GAIN = 5e-4
_PASSES = 5
_CANDIDATES = 4


class OperatingPoint(NamedTuple):
    """What some settings gave.

    Attributes
    ----------
    settings : dict
        Keywords of ``search``.
    recall : float
    qps : float
        Queries a second, the median of the passes.
    """

    settings: dict[str, float]
    recall: float
    qps: float


class TuneResult(NamedTuple):
    """What ``tune`` found.

    Attributes
    ----------
    settings : dict
        Keywords of ``search``: the fastest that reach the recall; where none does, those with the most.
    recall : float
        What they gave.
    qps : float
        Queries a second, the median of the passes.
    reached : bool
        Whether ``recall`` is what was asked for, or more.
    curve : list of OperatingPoint
        All that nothing else measured beats in both, from the fastest to the one with the most recall.
    """

    settings: dict[str, float]
    recall: float
    qps: float
    reached: bool
    curve: list[OperatingPoint]


class _Sweep:
    """What has been measured so far."""

    def __init__(self, index: Index, queries: NDArray[Any], truth: NDArray[np.int64], threads: int | None) -> None:
        self.index, self.queries, self.truth, self.threads = index, queries, truth, threads
        self.farthest = _farthest(index, queries, truth) if _is_of_codes(index, queries) else None
        self.probe = next((name for name in _PROBES if name in index.settings), None)
        self.recalls: dict[tuple[tuple[str, float], ...], float] = {}
        self.seconds: dict[tuple[tuple[str, float], ...], list[float]] = {}

    def measure(self, settings: dict[str, Any]) -> OperatingPoint:
        key = tuple(sorted(settings.items()))
        start = time.perf_counter()
        k = self.truth.shape[1]
        found = self.index.search(self.queries, k, threads=self.threads, **settings)
        self.seconds.setdefault(key, []).append(time.perf_counter() - start)
        if key not in self.recalls:
            self.recalls[key] = self.recall(found)
        return self.point(key)

    def recall(self, found: SearchResult) -> float:
        if self.farthest is None:
            return float(metrics.recall(found.ids, self.truth))
        wanted = (self.truth >= 0).sum(axis=1)
        near = ((found.ids >= 0) & (found.distances <= self.farthest[:, None])).sum(axis=1)
        return float(np.minimum(near, wanted).sum() / wanted.sum())

    def lowest(self, fixed: dict[str, float]) -> int:
        """Return the least value of the probe that differs from smaller ones: a graph keeps all that is re-scored."""
        return math.ceil(self.truth.shape[1] * fixed.get("k_factor", 1)) if self.probe == "ef" else 1

    def point(self, key: tuple[tuple[str, float], ...]) -> OperatingPoint:
        return OperatingPoint(dict(key), self.recalls[key], len(self.queries) / statistics.median(self.seconds[key]))

    def points(self) -> list[OperatingPoint]:
        return [self.point(key) for key in self.recalls]


def _is_of_codes(index: Index, queries: NDArray[Any]) -> bool:
    return index.metric == "hamming" and queries.dtype == np.uint8


def _farthest(index: Index, queries: NDArray[Any], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distances to the last true rows: among codes many rows are as near as those."""
    there = truth >= 0
    codes = index.reconstruct(np.where(there, truth, truth.max()).ravel()).reshape(*truth.shape, -1)
    bits = np.unpackbits(codes ^ queries[:, None], axis=2).sum(axis=2, dtype=np.int64)
    farthest: NDArray[np.int64] = np.where(there, bits, -1).max(axis=1)
    return farthest


def _front(points: list[OperatingPoint]) -> list[OperatingPoint]:
    front: list[OperatingPoint] = []
    for point in sorted(points, key=lambda one: (-one.qps, -one.recall)):
        if not front or point.recall > front[-1].recall:
            front.append(point)
    return front


def _best(points: list[OperatingPoint], recall: float) -> OperatingPoint:
    enough = [point for point in points if point.recall >= recall]
    return max(enough, key=lambda one: one.qps) if enough else max(points, key=lambda one: (one.recall, one.qps))


class _Row(NamedTuple):
    """What doubling the probes found."""

    bracket: tuple[int, int] | None  # the steps below and at the recall, if it was reached
    useful: int  # fewer lists than these cost most of the recall
    whole: bool  # False: time was up


def _doubling(sweep: _Sweep, fixed: dict[str, float], first: int, recall: float, deadline: float) -> _Row:
    """Double the probes until recall stops growing."""
    assert sweep.probe is not None
    points: list[OperatingPoint] = []
    bracket = None
    probes, whole = first, False
    while not points or time.perf_counter() < deadline:
        point = sweep.measure({sweep.probe: probes, **fixed})
        points.append(point)
        if bracket is None and point.recall >= recall:
            bracket = (max(probes // 2, sweep.lowest(fixed) - 1), probes)
        gain = point.recall - points[-2].recall if len(points) > 1 else 1.0
        whole = (gain < _LEAST_GAIN and probes > 16) or point.recall > 1 - _LEAST_GAIN or probes >= 1 << 24
        if whole:
            break
        probes *= 2
    most = max(point.recall for point in points)
    useful = next(int(point.settings[sweep.probe]) for point in points if point.recall >= 0.8 * most)
    return _Row(bracket, useful, whole)


def _bisect(sweep: _Sweep, fixed: dict[str, float], bracket: tuple[int, int], recall: float, deadline: float) -> int:
    assert sweep.probe is not None
    low, high = bracket
    while high - low > max(1, low // 16) and time.perf_counter() < deadline:
        middle = (low + high) // 2
        if sweep.measure({sweep.probe: middle, **fixed}).recall >= recall:
            high = middle
        else:
            low = middle
    return high


def _end_by_distance(sweep: _Sweep, fixed: dict[str, float], recall: float, deadline: float) -> None:
    """Halve the range of gamma, by its logarithm: queries differ in how many candidates they need."""
    low, high = _GAMMAS
    for _ in range(_GAMMA_STEPS):
        if time.perf_counter() > deadline:
            break
        gamma = round(math.sqrt(low * high), 4)
        if sweep.measure({"gamma": gamma, **fixed}).recall >= recall:
            high = gamma
        else:
            low = gamma


def _explore(sweep: _Sweep, recall: float, start: float, within: float) -> None:
    known = sweep.index.settings
    factors: list[dict[str, float]] = [{}]
    if "k_factor" in known:
        factors = [{"k_factor": one} for one in _FACTORS]
    elif "candidates" in known:
        factors = [{"candidates": int(one * sweep.truth.shape[1])} for one in _CANDIDATE_FACTORS]
    brackets: list[tuple[dict[str, float], tuple[int, int]]] = []
    most, first, whole = -1.0, 1, True
    for fixed in factors:
        now = time.perf_counter()
        if sweep.probe is None:
            sweep.measure(fixed)
        else:
            # A third of what is left, so that slow rows do not take all of it. Rows differ little in what they need.
            lowest = max(first, sweep.lowest(fixed))
            row = _doubling(sweep, fixed, lowest, recall, now + (start + within * 0.6 - now) / 3)
            first, whole = row.useful, row.whole
            if row.bracket:
                brackets.append((fixed, row.bracket))
        reached = max(point.recall for point in sweep.points())
        if (whole and reached - most < _LEAST_GAIN) or time.perf_counter() > start + within * 0.6:
            break
        most = reached
    if brackets and any(value > 1 for value in brackets[0][0].values()):
        between = {name: value / 2 if name == "k_factor" else int(value) // 2 for name, value in brackets[0][0].items()}
        lowest = max(first, sweep.lowest(between))
        row = _doubling(sweep, between, lowest, recall, time.perf_counter() + within * 0.1)
        if row.bracket:
            brackets.insert(0, (between, row.bracket))
    for fixed, bracket in brackets:
        high = _bisect(sweep, fixed, bracket, recall, start + within * 0.7)
        if "gamma" in known and sweep.probe == "ef" and sweep.index.metric != "ip":
            _end_by_distance(sweep, fixed, recall, start + within * 0.8)
        if "spread" not in known or sweep.index.metric == "ip":  # which has no distances to compare
            continue
        # More lists, but those of them that are near: queries differ in how many they need.
        for spread in _SPREADS:
            if time.perf_counter() > start + within * 0.8:
                break
            if sweep.measure({"nprobe": 2 * high, "spread": spread, **fixed}).recall >= recall:
                break


def tune(
    index: Index,
    queries: ArrayLike,
    truth: ArrayLike,
    recall: float = 0.95,
    *,
    within: float = 10.0,
    k: int = 10,
    threads: int | None = None,
) -> TuneResult:
    """Find the search settings with which an index reaches a recall soonest.

    It searches with what ``index.settings`` names: ``nprobe`` (``probes``, ``ef``) in doubling steps and then between
    them, for several ``k_factor`` (or ``candidates``), with a ``spread``, and graphs with ``gamma`` in place of ``ef``.
    Recall is the share of the true neighbours that are found; of packed codes, rows as near as the last true one count,
    whatever their ids. The fastest are timed several times over.

    Parameters
    ----------
    index : Index
        With its rows.
    queries : array_like of shape (nq, dim)
        Like those to come; a thousand give a recall that is right to about a percent.
    truth : array_like of int, shape (nq, at least k)
        The ids of the true nearest rows of each query, nearest first: ``ak.Flat(metric=...)`` finds them. Negative ids
        are none.
    recall : float, default 0.95
        What to reach, above 0 and at most 1.
    within : float, default 10.0
        Seconds to take, about: a search that has begun is finished.
    k : int, default 10
        Neighbours of each query that are looked for.
    threads : int, optional
        Of the searches.

    Returns
    -------
    TuneResult
        ``reached`` is False where no settings reach the recall: then it has those with the most recall.

    Raises
    ------
    ValueError
        Arrays of wrong shapes, a recall or time out of range, an index without rows.
    TypeError
        truth is not of integers.
    KeyError
        Of packed codes: truth names a row that the index does not have.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((2000, 16)).astype("f4")
    >>> index = ak.index("IVF32,SQ8,RFlat").fit(x).add(x)
    >>> truth = ak.Flat().add(x).search(x[:100], 10).ids
    >>> found = ak.tune(index, x[:100], truth, recall=0.9, within=1.0)
    >>> found.reached, sorted(found.settings)[:2]
    (True, ['k_factor', 'nprobe'])
    >>> ids = index.search(x[:5], 10, **found.settings).ids
    """
    rows = np.asarray(queries)
    true = np.asarray(truth)
    if rows.ndim != 2 or len(rows) == 0:
        raise ValueError(f"queries has shape {rows.shape}, expected (nq, dim) with at least one query")
    if true.dtype.kind not in "iu":
        raise TypeError(f"truth has dtype {true.dtype}, expected ids, integers")
    if k < 1:
        raise ValueError(f"k is {k}, expected 1 or more")
    if true.ndim != 2 or len(true) != len(rows) or true.shape[1] < k:
        raise ValueError(f"truth has shape {true.shape}, expected ({len(rows)}, {k} or more)")
    if not 0 < recall <= 1:
        raise ValueError(f"recall is {recall}, expected more than 0 and at most 1")
    if not 0 < within < float("inf"):
        raise ValueError(f"within is {within}, expected a number of seconds above 0")
    if len(index) == 0:
        raise ValueError("the index has no rows: add them first")
    true = true[:, :k].astype(np.int64)
    if not (true >= 0).any():
        raise ValueError("truth holds no ids of 0 or more")

    start = time.perf_counter()
    sweep = _Sweep(index, rows, true, threads)
    index.search(rows[:1], k, threads=threads)  # what a first search sets up is not timed
    _explore(sweep, recall, start, within)
    for _ in range(_PASSES - 1):
        enough = [point for point in sweep.points() if point.recall >= recall]
        for point in sorted(enough, key=lambda one: -one.qps)[:_CANDIDATES] or [_best(sweep.points(), recall)]:
            if time.perf_counter() < start + within:
                sweep.measure(point.settings)
    best = _best(sweep.points(), recall)
    return TuneResult(*best, best.recall >= recall, _front(sweep.points()))
