"""What the table of measurements tells about other numbers of rows and other dimensions."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from annkit import _measured

Mode = Literal["batch", "single"]

# Kinds that always find all.
EXACT = ("Flat", "BFlat", "BMIH")
# Beyond the rows measured, times go by these powers of n. There are 4 sqrt(n) lists, of as many rows; the others are
# near the medians of the table from 20,000 rows on: 0.2 to 0.25 of graphs, 0.2 of building them and of filling lists.
# What smaller sets say would be less: fixed costs hide what grows. BMIH scans all rows where its tables would cost
# more.
_OF_EXACT, _OF_LISTS, _OF_GRAPHS, _OF_BUILDING = 1.0, 0.5, 0.25, 0.25
# What kinds end with whose scores tell all rows apart. Others miss more among more rows: by a power of up to 0.25 for
# codes of up to 5 bits, of 0.28 for 7 and 8 bits in lists.
_KEEPING = ("Flat", "HNSW16", "SQfp16", "SQfp16)", "BIVF{lists}")
_MORE_MISSED = 0.2
# Other data may be harder to tell apart: what a kind missed at most, on data like it, is counted so much larger where
# there is a choice.
MARGIN = 1.25
# Data sets whose dimension differs by a larger factor say nothing about the most recall of a code.
_ALIKE = 4.0


class Row(NamedTuple):
    """A kind of index on so many rows of a data set: microseconds of building a row, of a query at each recall."""

    n: int
    most: float
    build: float
    micros: dict[str, dict[float, float]]


class Set(NamedTuple):
    """A data set: its dimension, and the rows of each kind by rising n."""

    name: str
    dim: int
    kinds: dict[str, list[Row]]


@functools.cache
def read(text: str) -> tuple[Set, ...]:
    found: dict[str, Set] = {}
    kinds: dict[str, list[Row]] = {}
    n = 0
    for line in filter(None, text.splitlines()):
        if not line.startswith(" "):
            name, dim, rows = line.split()
            kinds, n = found.setdefault(name, Set(name, int(dim), {})).kinds, int(rows)
            continue
        head, *modes = line.split("|")
        kind, most, build = head.split()
        micros = {
            mode: {r: float(us) for r, us in zip(_measured.RECALLS, times.split(), strict=True) if us != "-"}
            for mode, times in zip(("batch", "single"), modes, strict=True)
        }
        kinds.setdefault(kind, []).append(Row(n, float(most), float(build), micros))
    return tuple(found.values())


def _at_recall(times: dict[float, float], recall: float) -> float | None:
    """Return the microseconds at a recall; 0.9, 0.99 and 0.999 are equally far apart."""
    known = sorted(times)
    if not known:
        return None
    above = next((one for one in known if one >= recall), known[-1])
    below = max((one for one in known if one <= recall), default=above)
    if above == below or above < recall:
        return times[above]
    share = math.log((1 - below) / (1 - recall)) / math.log((1 - below) / (1 - above))
    return math.exp((1 - share) * math.log(times[below]) + share * math.log(times[above]))


def _at_rows(points: Sequence[tuple[int, float]], n: int, power: float) -> float:
    """Return a value between those at other n; beyond them it goes by a power of n."""
    (low, below), (high, above) = points[0], points[-1]
    if not low < n < high:
        start, value = (high, above) if n >= high else (low, below)
        return value * math.exp(power * math.log(n / start))
    after = next(i for i, point in enumerate(points) if point[0] >= n)
    (low, below), (high, above) = points[after - 1 : after + 1]
    share = math.log(n / low) / math.log(high / low)
    return math.exp((1 - share) * math.log(below) + share * math.log(above))


def _power(kind: str) -> float:
    """Return by which power of n a query takes longer."""
    return _OF_EXACT if kind in EXACT else _OF_GRAPHS if "HNSW" in kind else _OF_LISTS


def _power_of_build(kind: str) -> float:
    """Return by which power of n a row takes longer to be added."""
    return 0.0 if kind in EXACT else _OF_BUILDING


class Estimate:
    """What the sets tell about n rows of a dimension; those of a like dimension tell most."""

    def __init__(self, sets: Iterable[Set], exact: str, n: int, dim: int, mode: Mode) -> None:
        self.sets = tuple(sets)
        self.exact, self.n, self.dim, self.mode = exact, n, dim, mode
        self.weights = {one.name: 1 / (0.1 + math.log2(dim / one.dim) ** 2) for one in self.sets}
        nearest = min(abs(math.log(dim / one.dim)) for one in self.sets)
        self.alike = [one for one in self.sets if abs(math.log(dim / one.dim)) <= max(nearest, math.log(_ALIKE))]

    def most(self, kind: str, margin: float) -> float:
        """Return the least of the recalls that the settings of a kind reach on data of a like dimension.

        What compact codes miss is counted so many times.
        """
        if kind in EXACT:
            return 1.0
        lossy = "PCA" in kind or not kind.endswith(_KEEPING)
        misses = [
            _at_rows([(row.n, max(1e-4, 1 - row.most)) for row in rows], self.n, _MORE_MISSED if lossy else 0.0)
            for one in self.alike
            if (rows := one.kinds.get(kind))
        ]
        return 1 - min(1.0, (margin if lossy else 1.0) * max(misses)) if misses else 0.0

    def micros(self, kind: str, recall: float) -> float:
        """Return the microseconds of a query: how many times those of exact search, times what that takes here."""
        exact = self._mean({one.name: self._exact(one) * self.dim / one.dim for one in self.sets})
        times = {}
        for one in self.sets:
            points = [
                (row.n, us)
                for row in one.kinds.get(kind, ())
                if (us := _at_recall(row.micros[self.mode], recall)) is not None
            ]
            if points:
                times[one.name] = _at_rows(points, self.n, _power(kind)) / self._exact(one)
        return exact * self._mean(times) if times else math.inf

    def build(self, kind: str) -> float:
        """Return the seconds of building with one thread."""
        times = {}
        for one in self.sets:
            if rows := one.kinds.get(kind):
                times[one.name] = _at_rows([(row.n, row.build) for row in rows], self.n, _power_of_build(kind))
        return 1e-6 * self.n * self._mean(times) if times else math.inf

    def nearest(self) -> Set:
        """Return the set that tells most."""
        return max(self.sets, key=lambda one: self.weights[one.name])

    def largest(self) -> int:
        """Return the most rows measured among the alike."""
        return max(rows[-1].n for one in self.alike for rows in one.kinds.values())

    def _exact(self, one: Set) -> float:
        points = [(row.n, row.micros[self.mode][0.95]) for row in one.kinds[self.exact]]
        return _at_rows(points, self.n, _power(self.exact))

    def _mean(self, values: dict[str, float]) -> float:
        total = sum(self.weights[name] for name in values)
        return math.exp(sum(self.weights[name] * math.log(value) for name, value in values.items()) / total)
