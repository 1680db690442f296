"""``annkit bench``: reads the command line, starts the run and shows what came of it."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from annkit import datasets
from annkit.bench import choice, machine, plot, records, report, runner, summary, terminal
from annkit.bench.contenders import CONTENDERS, FAMILIES, PEERS, Contender
from annkit.bench.needs import need
from annkit.datasets import Dataset

__all__ = ["add", "run"]

# What a run without arguments measures: every kind of data that annkit has indexes for, and every kind of index once.
_DEFAULT_SETS = {"patches": FAMILIES, "patches-u8": ("flat",), "patches-256bit": ("flat",)}
# Leaves half a minute of the promised three for loading, truth and plots.
_DEFAULT_BUDGET = 140.0
_CELL_SECONDS = 1.0
_BUSY = 0.5
_MODULES = ("rich", "matplotlib", "psutil", "threadpoolctl")


def add(commands: Any) -> None:
    """Add the command to the parsers of `annkit`."""
    parser = commands.add_parser(
        "bench",
        help="measure annkit beside Faiss and other libraries",
        description="Queries per second, recall, build time and memory of annkit's indexes beside Faiss and other "
        "libraries. Without DATA: patches of photographs, Faiss alone, in under three minutes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("data", nargs="*", metavar="DATA", help=f"{datasets.GENERATED}; a vector file, an .hdf5 or a folder")
    peers = f"libraries to compare with: all, none, or of {','.join(PEERS)}; all where DATA is given, else faiss"
    add("--against", type=_names(PEERS), metavar="A,B", help=peers, default=argparse.SUPPRESS)
    add("--families", type=_names(FAMILIES), metavar="A,B", default=list(FAMILIES), help="kinds of index")
    add("--threads", type=_counts, metavar="1,2", default=[1], help="search threads, one measurement each")
    add("-k", type=_count, default=10, help="neighbours to find")
    add("--queries", type=_count, default=1000, help="at most so many of the queries")
    add("--metric", choices=("l2", "euclidean", "ip", "cosine", "hamming"), default=argparse.SUPPRESS, help="metric")
    effort = "effort to build graphs (ef_construction); 100 without DATA, else 500"
    add("--effort", type=_count, default=argparse.SUPPRESS, help=effort)
    bounded = f"aim to spend so many seconds in all; {_DEFAULT_BUDGET:.0f} without DATA, else unbounded"
    add("--budget", type=_seconds, default=argparse.SUPPRESS, help=bounded)
    add("--timeout", type=_seconds, default=3600.0, help="seconds after which one method is stopped")
    place = "folder for results.jsonl, choices.json, report.html and plots; annkit-bench/DATE-TIME if not given"
    add("--out", type=Path, metavar="FOLDER", default=argparse.SUPPRESS, help=place)
    add("--compare", type=Path, metavar="JSONL", default=argparse.SUPPRESS, help="results.jsonl of an earlier run")


def _names(known: Sequence[str]) -> Any:
    def parse(text: str) -> list[str]:
        chosen = {"all": list(known), "none": []}.get(text, text.split(","))
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}, expected of {', '.join(known)}")
        return chosen

    return parse


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return int(text)


def _counts(text: str) -> list[int]:
    counts, available = [_count(part) for part in text.split(",")], len(machine.cores())
    if max(counts) > available:
        raise argparse.ArgumentTypeError(f"{max(counts)} threads asked for, this process may use {available} core(s)")
    return list(dict.fromkeys(counts))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    for module in _MODULES:
        need(module)
    given = vars(options)
    out = terminal.console()
    folder: Path = given.get("out") or Path("annkit-bench") / time.strftime("%Y%m%d-%H%M%S")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder}: is a file, expected a folder")
    earlier = records.read(options.compare) if "compare" in given else []
    libraries = ["annkit", *given.get("against", PEERS if options.data else ["faiss"])]
    plan = _plan(options, [c for c in CONTENDERS if c.library in libraries and not c.missing()])
    notes = [*_busy(), *_missing(libraries)]
    for note in notes:
        out.print(note, style="yellow", markup=False)
    watcher = _Watcher(out, sum(len(contenders) for _, contenders in plan.sets), notes)
    with watcher:
        found = runner.run(plan, watcher)
    if not found:
        raise ValueError("no method could be measured")
    moves = summary.movements(records.compare(found, earlier))
    source = str(given.get("compare", ""))
    terminal.show(out, summary.tables(found), moves, source)
    if earlier and not moves:
        out.print(f"{source} shares no measurement with this run", markup=False)
    _write(folder, found, report.render(found, notes, moves, source))
    out.print(f"\nresults, plots and report.html are in {folder}", markup=False, soft_wrap=True)
    return 0


class _Watcher(terminal.Progress):
    """Also keeps what failed, for the report."""

    def __init__(self, out: Any, total: int, notes: list[str]) -> None:
        super().__init__(out, total)
        self.notes = notes

    def finished(self, data: Dataset, contender: Contender, found: list[records.Record], failure: str | None) -> None:
        """Note a failure, and show it."""
        super().finished(data, contender, found, failure)
        if failure:
            self.notes.append(f"{data.name}: {contender.name}: {failure}")


def _busy() -> list[str]:
    """Return a warning where others use the machine: threads that wait for each other suffer most."""
    busy = machine.load()
    if busy < _BUSY:
        return []
    return [f"the machine is busy (load {busy:.1f}): expect low figures, most of all with several threads"]


def _missing(libraries: Sequence[str]) -> list[str]:
    """Return one line for each library that is not there."""
    lines = (contender.missing() for contender in CONTENDERS if contender.library in libraries)
    return list(dict.fromkeys(line for line in lines if line))


def _plan(options: argparse.Namespace, contenders: Sequence[Contender]) -> runner.Plan:
    given = vars(options)
    specs = [spec for argument in options.data for spec in datasets.expand(argument)] or list(_DEFAULT_SETS)
    sets = []
    for spec in specs:
        families = options.families if options.data else set(options.families) & set(_DEFAULT_SETS[spec])
        data = _shortened(datasets.load(spec, metric=given.get("metric")), options.queries)
        sets.append((data, [c for c in contenders if c.family in families and (c.brief or options.data)]))
    names = [data.name for data, _ in sets]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"several data sets are called {', '.join(sorted(repeated))}")
    effort = given.get("effort", 500 if options.data else 100)
    budget = given.get("budget", None if options.data else _DEFAULT_BUDGET)
    return runner.Plan(
        sets=sets,
        threads=options.threads,
        k=options.k,
        ef_construction=effort,
        cell_seconds=_CELL_SECONDS,
        budget=budget,
        timeout=options.timeout,
        info={"date": time.strftime("%Y-%m-%d %H:%M"), "ef_construction": effort, "budget_seconds": budget},
    )


def _shortened(data: Dataset, queries: int) -> Dataset:
    return dataclasses.replace(data, queries=data.queries[:queries])


def _write(folder: Path, found: list[records.Record], page: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records.write(folder / "results.jsonl", found)
    choice.write(folder / "choices.json", summary.tables(found))
    (folder / "report.html").write_text(page, encoding="utf-8")
    for name, members in records.group(found, lambda r: r.data["name"]).items():
        (folder / f"{name}.png").write_bytes(plot.draw(members))
