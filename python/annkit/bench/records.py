"""The results: one record for each data set x method x setting x mode x threads, kept as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

__all__ = ["Change", "Point", "Record", "compare", "group", "pareto", "qps_at", "read", "setting_text", "write"]


@dataclass(frozen=True)
class Record:
    """One measured point with all that is needed to judge it; bytes and seconds, QPS the median of `passes`."""

    data: dict[str, Any]
    method: str
    library: str
    version: str | None
    family: str
    given: dict[str, Any]
    setting: dict[str, Any]
    mode: str
    threads: int
    k: int
    qps: float
    passes: list[float]
    latency_ms: dict[str, float]
    recall: float
    queries_judged: int
    build_seconds: float
    build_threads: int
    memory_kept: int | None
    memory_peak: int | None
    index_bytes: int | None
    pinned: bool
    machine: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two records of different runs the same measurement."""
        identity = (self.data["name"], self.data["metric"], self.data["n"], self.k, self.method)
        return (*identity, setting_text(self.setting), self.mode, self.threads)

    @property
    def bytes_held(self) -> int | None:
        """The index's own bytes, or what the process kept where the index does not say."""
        return self.memory_kept if self.index_bytes is None else self.index_bytes


def setting_text(setting: dict[str, Any]) -> str:
    """Return ``ef=100, k_factor=4``, or a dash for no settings."""
    return ", ".join(f"{name}={value}" for name, value in setting.items()) or "–"


def write(path: Path, records: Iterable[Record]) -> None:
    """Write one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")


def read(path: Path) -> list[Record]:
    """Read what `write` wrote; fields that this version does not know are left out.

    Raises
    ------
    ValueError
        If a line is not a record; the message names file and line.
    """
    known = {f.name for f in fields(Record)}
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            record = Record(**{name: value for name, value in raw.items() if name in known})
            _ = record.key  # touches the nested fields
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: line {number} is not a record of annkit bench: {error}") from error
        records.append(record)
    return records


_Item = TypeVar("_Item")


def group(records: Iterable[_Item], by: Callable[[_Item], Any]) -> dict[Any, list[_Item]]:
    """Group records by a function of them, in order of appearance."""
    groups: dict[Any, list[_Item]] = {}
    for record in records:
        groups.setdefault(by(record), []).append(record)
    return groups


class Point(Protocol):
    """What has a recall and a rate: a `Record`, for one."""

    @property
    def recall(self) -> float:
        """The share of true neighbours found."""

    @property
    def qps(self) -> float:
        """Queries per second."""


_Point = TypeVar("_Point", bound=Point)


def pareto(records: Sequence[_Point]) -> list[_Point]:
    """Return the records that no other beats in both recall and QPS, by rising recall."""
    front: list[_Point] = []
    for record in sorted(records, key=lambda r: (-r.recall, -r.qps)):
        if not front or record.qps > front[-1].qps:
            front.append(record)
    return front[::-1]


def qps_at(records: Sequence[Point], recall: float) -> float | None:
    """Return the queries per second at a recall, read from the Pareto front; None if it is never reached.

    Between two points of the front log(QPS) is interpolated, as the plots draw it.
    """
    front = pareto(records)
    after = next((i for i, record in enumerate(front) if record.recall >= recall), None)
    if after is None:
        return None
    above, below = front[after], front[max(0, after - 1)]
    if above.recall == below.recall:
        return above.qps
    share = (recall - below.recall) / (above.recall - below.recall)
    return math.exp(math.log(below.qps) + share * (math.log(above.qps) - math.log(below.qps)))


class Change(NamedTuple):
    """A measurement that two runs share; ratios are now / earlier."""

    record: Record
    earlier: Record
    qps_ratio: float
    recall_change: float
    build_ratio: float | None
    memory_ratio: float | None


def compare(records: Iterable[Record], earlier: Iterable[Record]) -> list[Change]:
    """Pair the records of this run with those of an earlier one."""
    past = {record.key: record for record in earlier}
    return [_change(record, past[record.key]) for record in records if record.key in past]


def _change(now: Record, then: Record) -> Change:
    build = now.build_seconds / then.build_seconds if then.build_seconds > 0 else None
    held = now.bytes_held / then.bytes_held if now.bytes_held and then.bytes_held else None
    return Change(now, then, now.qps / then.qps, now.recall - then.recall, build, held)
