"""Condenses records to what a reader compares first: one table for each data set and number of threads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from annkit.bench.measure import MODES
from annkit.bench.records import Change, Record, group, qps_at

__all__ = [
    "MODE_NAMES",
    "Movement",
    "Row",
    "Table",
    "amount",
    "megabytes",
    "movements",
    "recall_name",
    "tables",
]

# The last is what exact search over floats reaches: products of matrices round away a neighbour in a thousand.
RECALLS = (0.9, 0.95, 0.99, 0.999)
MODE_NAMES = {"single": "one query a call", "batch": "all queries in one call"}


@dataclass(frozen=True)
class Row:
    """One method: what its index costs, and queries per second by (mode, recall); None where it does not get there."""

    method: str
    library: str
    family: str
    build_seconds: float
    index_bytes: int | None
    peak_bytes: int | None
    qps: dict[tuple[str, float], float | None]


@dataclass(frozen=True)
class Table:
    """All methods on one data set with one number of threads, at the recalls that any of them reaches."""

    records: list[Record]
    rows: list[Row]
    recalls: tuple[float, ...]

    @property
    def title(self) -> str:
        """What was searched and how."""
        first = self.records[0]
        data, threads = first.data, first.threads
        shape = f"{data['n']:,} × {data['dim']:,} {data['dtype']}"
        plural = "" if threads == 1 else "s"
        return f"{data['name']} · {shape} · {data['metric']} · k = {first.k} · {threads} thread{plural}"

    def best(self, mode: str, recall: float, rows: Sequence[Row] | None = None) -> float | None:
        """Return the highest rate in a column, of some rows or of all."""
        rates = (row.qps[mode, recall] for row in (self.rows if rows is None else rows))
        return max((rate for rate in rates if rate), default=None)

    def leads(self, columns: Sequence[tuple[str, float]]) -> dict[str, list[float | None]]:
        """Return annkit's best rate over Faiss's best in columns (mode, recall), by kind of index and for all kinds."""
        kinds = {row.family: [other for other in self.rows if other.family == row.family] for row in self.rows}
        if len(kinds) > 1:
            kinds["any"] = self.rows
        leads = {kind: [self._lead(column, rows) for column in columns] for kind, rows in kinds.items()}
        return {kind: ratios for kind, ratios in leads.items() if any(ratios)}

    def _lead(self, column: tuple[str, float], rows: Sequence[Row]) -> float | None:
        own, theirs = (
            self.best(*column, [row for row in rows if row.library == library]) for library in ("annkit", "faiss")
        )
        return own / theirs if own and theirs else None


def tables(records: Iterable[Record]) -> list[Table]:
    """Return one table for each data set, k and number of threads, in order of appearance."""
    groups = group(records, lambda r: (r.data["name"], r.data["metric"], r.k, r.threads))
    return [_table(members) for members in groups.values()]


def _table(records: list[Record]) -> Table:
    reached = [record.recall for record in records]
    recalls = tuple(recall for recall in RECALLS if recall <= max(reached)) or (0.0,)
    if all(record.family == "flat" for record in records):  # one point each: more columns would repeat it
        recalls = tuple(recall for recall in recalls if recall <= min(reached))[-1:] or (0.0,)
    rows = [_row(members, recalls) for members in group(records, lambda r: r.method).values()]
    return Table(records, rows, recalls)


def _row(records: list[Record], recalls: tuple[float, ...]) -> Row:
    first, modes = records[0], group(records, lambda r: r.mode)
    qps = {(mode, recall): qps_at(modes.get(mode, []), recall) for mode in MODES for recall in recalls}
    return Row(first.method, first.library, first.family, first.build_seconds, first.bytes_held, first.memory_peak, qps)


def recall_name(recall: float) -> str:
    """Return ``≥ 0.95``, or ``any`` where nothing reaches 0.9."""
    return f"≥ {recall:g}" if recall else "any"


@dataclass(frozen=True)
class Movement:
    """How one method changed since an earlier run: medians of now / earlier over the settings that both have."""

    data: str
    method: str
    threads: int
    settings: int
    qps: dict[str, float | None]
    recall_change: float
    build: float | None
    memory: float | None


def movements(changes: Sequence[Change]) -> list[Movement]:
    """Condense changes to one line for each data set, method and number of threads."""
    groups = group([c.record for c in changes], lambda r: (r.data["name"], r.method, r.threads))
    by_record = {id(change.record): change for change in changes}
    return [_movement([by_record[id(record)] for record in members]) for members in groups.values()]


def _movement(changes: list[Change]) -> Movement:
    first = changes[0]
    ratios = {mode: [c.qps_ratio for c in changes if c.record.mode == mode] for mode in MODES}
    return Movement(
        data=first.record.data["name"],
        method=first.record.method,
        threads=first.record.threads,
        settings=len({c.record.key for c in changes}),
        qps={mode: statistics.median(values) if values else None for mode, values in ratios.items()},
        recall_change=max((c.recall_change for c in changes), key=abs),
        build=first.build_ratio,
        memory=first.memory_ratio,
    )


def amount(value: float | None) -> str:
    """Write a number with three digits, and k, M or G.

    Examples
    --------
    >>> [amount(v) for v in (None, 0.0123, 7.0, 45.61, 812.4, 4560, 1.234e6)]
    ['–', '0.012', '7.00', '45.6', '812', '4.56k', '1.23M']
    """
    if value is None:
        return "–"
    if value < 1:
        return f"{value:.3f}"
    power = min(3, int(math.log10(value) + 1e-9) // 3)
    scaled = value / 1000**power
    if scaled >= 999.5 and power < 3:
        power, scaled = power + 1, scaled / 1000
    digits = 2 if scaled < 9.995 else 1 if scaled < 99.95 else 0
    return f"{scaled:.{digits}f}{('', 'k', 'M', 'G')[power]}"


def megabytes(value: int | None) -> str:
    """Write bytes as megabytes (10^6 bytes)."""
    return "–" if value is None else f"{value / 1e6:,.1f}" if value < 1e8 else f"{value / 1e6:,.0f}"
