"""Writes the HTML report: one file with figures, tables, machine, versions and what each method was given."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from annkit.bench.choice import choices
from annkit.bench.measure import MODES
from annkit.bench.plot import DARK, LIGHT, draw
from annkit.bench.records import Record, group, setting_text
from annkit.bench.summary import MODE_NAMES, Movement, Table, amount, megabytes, recall_name, tables

__all__ = ["render"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #fff; --faint: #d8dee4; --quiet: #59636e; --best: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --faint: #30363d; --quiet: #9198a1; --best: #3fb950; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1100px; margin: 2em auto; padding: 0 1em; }
h2 { margin-top: 2.2em; border-bottom: 1px solid var(--faint); }
img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .6em 0; }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid var(--faint); white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
td:first-child, th:first-child, .text td, .text th { text-align: left; }
.text td { white-space: normal; vertical-align: top; overflow-wrap: anywhere; }
.choice td:nth-child(5), .choice td:nth-child(6), .choice th:nth-child(5), .choice th:nth-child(6) { text-align: left; }
.best { color: var(--best); font-weight: 700; }
.quiet, summary { color: var(--quiet); }
"""


def render(
    records: Sequence[Record], notes: Sequence[str] = (), moves: Sequence[Movement] = (), earlier: str = ""
) -> str:
    """Return the report as one HTML page that needs no other file.

    Parameters
    ----------
    records : sequence of Record
        At least one.
    notes : sequence of str
        Warnings, and what was left out or failed, a line each.
    moves, earlier :
        What changed since an earlier run, and the name of that run.
    """
    parts = ["<h1>annkit bench</h1>", _conditions(records)]
    if notes:
        parts += ["<h2>To note</h2>", f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>"]
    for members in group(records, lambda r: (r.data["name"], r.data["metric"], r.k)).values():
        parts.append(_data_set(members))
    if moves:
        parts.append(_movements(moves, earlier))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
    body = "\n".join(parts)
    top = f'<!doctype html>\n<html lang="en"><head>{head}<title>annkit bench</title></head>'
    return f"{top}\n<body>\n{body}\n</body></html>\n"


def _grid(heading: Iterable[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table; cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in heading)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    )


def _facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{escape(str(name))} = {escape(str(value))}" for name, value in facts.items())


def _conditions(records: Sequence[Record]) -> str:
    first = records[0]
    versions = {r.library: r.version for r in records}
    rows = [
        ("machine", _facts({name: value for name, value in first.machine.items() if name != "core_ids"})),
        ("run", _facts({**first.run, "build threads": first.build_threads})),
        ("versions", _facts(versions)),
        ("threads pinned", "yes" if all(r.pinned for r in records) else "no, this platform cannot"),
    ]
    modes = ", ".join(f"{mode}: {name}" for mode, name in MODE_NAMES.items())
    explained = (
        f"Queries per second are medians of several passes; {modes}. "
        "A returned row counts for recall if it is at least as near as the true k-th. A rate at a recall is read from "
        "the Pareto front of a method's settings, interpolated in log(QPS). Single queries that there was no time to "
        "ask count for recall as in the batch. Peak is by how much the process grew at most while building; the base "
        "given to it is not counted. annkit / faiss is the best of each, by kind of index. MB = 10<sup>6</sup> bytes."
    )
    return _grid(("", ""), rows, "text") + f'<p class="quiet">{explained}</p>'


def _data_set(records: Sequence[Record]) -> str:
    data = records[0].data
    parts = [f"<h2>{escape(str(data['name']))}</h2>", _figure(records)]
    for table in tables(records):
        parts += [f"<h3>{escape(table.title)}</h3>", _choices(table), _results(table)]
    return "\n".join([*parts, _given(records), _points(records)])


def _figure(records: Sequence[Record]) -> str:
    light, dark = (
        "data:image/png;base64," + base64.b64encode(draw(records, theme)).decode("ascii") for theme in (LIGHT, DARK)
    )
    alt = f"Recall and queries per second on {escape(str(records[0].data['name']))}"
    dark_source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    return f'<picture>{dark_source}<img alt="{alt}" src="{light}"></picture>'


def _results(table: Table) -> str:
    columns = [(mode, recall) for mode in MODES for recall in table.recalls]
    heading = ["method", "build<br>s", "index<br>MB", "peak<br>MB"]
    heading += [f"{mode}<br>{recall_name(recall)}" for mode, recall in columns]
    rows = []
    for row in table.rows:
        cells = [escape(row.method), amount(row.build_seconds), megabytes(row.index_bytes), megabytes(row.peak_bytes)]
        for column in columns:
            rate = row.qps[column]
            best = rate is not None and rate == table.best(*column)
            cells.append(f'<span class="best">{amount(rate)}</span>' if best else amount(rate))
        rows.append(cells)
    for kind, leads in table.leads(columns).items():
        ratios = ["–" if lead is None else f"{lead:.2f} ×" for lead in leads]
        rows.append([f"annkit / faiss, best of {kind}", "", "", "", *ratios])
    return _grid(heading, rows)


def _choices(table: Table) -> str:
    """Return what to choose at which memory."""
    heading = (
        "mode",
        "recall",
        "bytes<br>a row",
        "index<br>MB",
        "method",
        "setting",
        "its<br>recall",
        "QPS",
        "build<br>s",
    )
    rows = []
    for steps in group(choices(table), lambda c: (c.mode, c.recall)).values():
        for i, step in enumerate(steps):
            where = ("", "") if i else (MODE_NAMES[step.mode], recall_name(step.recall))
            cost = (f"{step.bytes_a_row:,.0f}", megabytes(step.index_bytes))
            how = (escape(step.method), escape(setting_text(step.setting)), f"{step.reached:.3f}")
            rows.append((*where, *cost, *how, amount(step.qps), amount(step.build_seconds)))
    if not rows:
        return ""
    told = (
        "Which configuration to choose: from each line's memory on, the fastest whose index is not larger. More memory "
        "is shown where it is a tenth faster."
    )
    return f"<p>{told}</p>" + _grid(heading, rows, "choice")


def _given(records: Sequence[Record]) -> str:
    rows = [
        (escape(method), escape(f"{members[0].library} {members[0].version}"), _facts(members[0].given))
        for method, members in group(records, lambda r: r.method).items()
    ]
    table = _grid(("method", "version", "built with"), rows, "text")
    return f"<details open><summary>What each method was given</summary>{table}</details>"


def _points(records: Sequence[Record]) -> str:
    heading = ("method", "setting", "mode", "threads", "recall", "QPS", "slowest – fastest pass", "p50 ms", "p99 ms")
    rows = [
        (
            escape(r.method),
            escape(setting_text(r.setting)),
            r.mode,
            str(r.threads),
            f"{r.recall:.4f}",
            amount(r.qps),
            f"{amount(min(r.passes))} – {amount(max(r.passes))}",
            amount(r.latency_ms["p50"]),
            amount(r.latency_ms["p99"]),
        )
        for r in records
    ]
    return f"<details><summary>All {len(rows)} measurements</summary>{_grid(heading, rows)}</details>"


def _movements(moves: Sequence[Movement], earlier: str) -> str:
    heading = ("data", "method", "threads", *MODES, "recall", "build", "memory")
    rows = []
    for move in moves:
        ratios = [move.qps["single"], move.qps["batch"], None, move.build, move.memory]
        cells = ["–" if ratio is None else f"{ratio:.2f} ×" for ratio in ratios]
        cells[2] = f"{move.recall_change:+.4f}"
        rows.append((escape(move.data), escape(move.method), str(move.threads), *cells))
    return f"<h2>Beside {escape(earlier)} (now / earlier)</h2>" + _grid(heading, rows)
