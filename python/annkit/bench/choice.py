"""Says which configuration to choose at which memory: the fastest among those whose index is not larger."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annkit.bench.measure import MODES
from annkit.bench.records import Record, group, pareto, qps_at
from annkit.bench.summary import Table

__all__ = ["Choice", "choices", "staircase", "write"]

RECALLS = (0.9, 0.95, 0.99)
# What is not so many times as fast is no reason for more memory: passes differ by as much.
_WORTH = 1.1


@dataclass(frozen=True)
class Choice:
    """From `index_bytes` on (and up to the next choice's), `method` is the fastest at a recall, or nearly.

    `setting` is its fastest that reaches the recall by itself, with `reached`; `qps` is read from the front, as in the
    tables.
    """

    mode: str
    recall: float
    index_bytes: int
    bytes_a_row: float
    method: str
    setting: dict[str, Any]
    reached: float
    qps: float
    build_seconds: float


def choices(table: Table) -> list[Choice]:
    """Return the choices of one table by mode, recall and rising memory; each is a tenth faster than the one before.

    A recall at which everything is chosen as at the next higher one is left out, as where all search is exact.
    """
    found = []
    for mode in MODES:
        steps = {recall: staircase(table.records, mode, recall) for recall in RECALLS}
        for recall, above in zip(RECALLS, (*RECALLS[1:], None), strict=True):
            if above is None or _essence(steps[recall]) != _essence(steps[above]):
                found += steps[recall]
    return found


def _essence(steps: Sequence[Choice]) -> list[tuple[str, float]]:
    return [(step.method, step.qps) for step in steps]


def staircase(records: Sequence[Record], mode: str, recall: float) -> list[Choice]:
    """Return what to choose at a recall, by rising memory."""
    able = []
    for members in group([r for r in records if r.mode == mode], lambda r: r.method).values():
        rate = qps_at(members, recall)
        if rate is not None and members[0].bytes_held:
            able.append(_choice(members, recall, members[0].bytes_held, rate))
    steps: list[Choice] = []
    for choice in sorted(able, key=lambda c: (c.index_bytes, -c.qps)):
        if not steps or choice.qps >= _WORTH * steps[-1].qps:
            steps.append(choice)
    return steps


def _choice(members: Sequence[Record], recall: float, held: int, rate: float) -> Choice:
    reaches = next(record for record in pareto(members) if record.recall >= recall)
    return Choice(
        mode=reaches.mode,
        recall=recall,
        index_bytes=held,
        bytes_a_row=held / reaches.data["n"],
        method=reaches.method,
        setting=reaches.setting,
        reached=reaches.recall,
        qps=rate,
        build_seconds=reaches.build_seconds,
    )


def write(path: Path, tables: Sequence[Table]) -> None:
    """Write the choices of all tables as one JSON list, each with its data set, metric, k and threads."""
    rows = []
    for table in tables:
        first = table.records[0]
        where = {"data": first.data["name"], "metric": first.data["metric"], "k": first.k, "threads": first.threads}
        rows += [{**where, **asdict(choice)} for choice in choices(table)]
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
