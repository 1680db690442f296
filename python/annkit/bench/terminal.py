"""Shows a run on the terminal: progress while it lasts, tables when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annkit.bench.choice import Choice, choices
from annkit.bench.contenders import Contender
from annkit.bench.measure import MODES
from annkit.bench.needs import need
from annkit.bench.records import Record, group, setting_text
from annkit.bench.summary import Movement, Table, amount, megabytes, recall_name
from annkit.datasets import Dataset

__all__ = ["Progress", "choice_table", "console", "movement_table", "result_table", "show"]

_WIDE = 110


def console() -> Any:
    """Return the terminal to write to."""
    return need("rich.console").Console(highlight=False)


class Progress:
    """A bar over all contenders, and a line for each that has finished; a `Watcher` of the runner."""

    def __init__(self, out: Any, total: int) -> None:
        progress = need("rich.progress")
        self.out = out
        columns = (
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
        )
        # Rarely drawn: the cores belong to what is measured.
        self.bar = progress.Progress(*columns, console=out, transient=True, refresh_per_second=2)
        self.task = self.bar.add_task("starting", total=total)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def preparing(self, data: Dataset) -> None:
        """Name the data set."""
        self.bar.update(self.task, description=f"{data.name}: exact neighbours")

    def starting(self, data: Dataset, contender: Contender) -> None:
        """Name the contender."""
        self.bar.update(self.task, description=f"{data.name}: {contender.name}")

    def finished(self, data: Dataset, contender: Contender, found: list[Record], failure: str | None) -> None:
        """Write one line and move the bar."""
        self.bar.advance(self.task)
        text = need("rich.text").Text(f"{data.name:<15.15} {contender.name:<25.25} ")
        if found:
            text.append(f"built in {amount(found[0].build_seconds)} s, {len(found)} points")
        if failure:
            text.append(f"{'; ' if found else ''}{failure}", style="red")
        self.out.print(text)


def result_table(table: Table, width: int) -> Any:
    """Return a table that fits into `width` columns: narrow ones leave out recalls below 0.95."""
    recalls = table.recalls if width >= _WIDE or len(table.recalls) < 3 else _two(table.recalls)
    grid = _grid()
    grid.add_column("\nmethod", no_wrap=True)
    for heading in ("build\ns", "index\nMB", "peak\nMB"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for mode in MODES:
        for recall in recalls:
            grid.add_column(f"{mode}\n{recall_name(recall)}", justify="right", no_wrap=True)
    for row in table.rows:
        cells = [row.method, amount(row.build_seconds), megabytes(row.index_bytes), megabytes(row.peak_bytes)]
        for mode in MODES:
            for recall in recalls:
                rate = row.qps[mode, recall]
                best = rate is not None and rate == table.best(mode, recall)
                cells.append(f"[bold green]{amount(rate)}[/]" if best else amount(rate))
        grid.add_row(*cells)
    grid.add_section()
    for kind, leads in table.leads([(mode, recall) for mode in MODES for recall in recalls]).items():
        ratios = ["–" if lead is None else f"{lead:.2f}×" for lead in leads]
        grid.add_row(f"annkit / faiss, {kind}", "", "", "", *ratios)
    return grid


def choice_table(chosen: Sequence[Choice]) -> Any:
    """Return a table of what to choose at which memory."""
    grid = _grid()
    for heading in ("mode\n", "recall\n", "bytes\na row", "index\nMB"):
        grid.add_column(heading, justify="left" if heading == "mode\n" else "right", no_wrap=True)
    grid.add_column("\nmethod", no_wrap=True)
    grid.add_column("\nsetting")
    for heading in ("\nqueries/s", "build\ns"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for steps in group(chosen, lambda c: (c.mode, c.recall)).values():
        for i, step in enumerate(steps):
            where = ("", "") if i else (step.mode, recall_name(step.recall))
            cost = (f"{step.bytes_a_row:,.0f}", megabytes(step.index_bytes))
            given = (step.method, setting_text(step.setting))
            grid.add_row(*where, *cost, *given, amount(step.qps), amount(step.build_seconds))
        grid.add_section()
    return grid


def _grid() -> Any:
    return need("rich.table").Table(box=need("rich.box").SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _two(recalls: tuple[float, ...]) -> tuple[float, ...]:
    """Choose what to keep of three or four recalls on a narrow terminal."""
    return (recalls[1], recalls[-1])


def movement_table(moves: Sequence[Movement]) -> Any:
    """Return a table of what changed since an earlier run."""
    grid = _grid()
    grid.add_column("data", no_wrap=True)
    grid.add_column("method", no_wrap=True)
    for heading in ("threads", "single", "batch", "recall", "build", "memory"):
        grid.add_column(heading, justify="right", no_wrap=True)
    for move in moves:
        ratios = (move.qps["single"], move.qps["batch"], None, move.build, move.memory)
        cells = ["–" if ratio is None else f"{ratio:.2f} ×" for ratio in ratios]
        cells[2] = f"{move.recall_change:+.4f}"
        grid.add_row(move.data, move.method, str(move.threads), *cells)
    return grid


def show(out: Any, tables: Sequence[Table], moves: Sequence[Movement] = (), earlier: str = "") -> None:
    """Print the tables, and what changed since an earlier run."""
    for table in tables:
        _heading(out, table.title)
        out.print(result_table(table, out.width))
        if chosen := choices(table):
            out.print("Which to choose: from each line's memory on, the fastest method that fits", style="bold")
            out.print(choice_table(chosen))
    if moves:
        _heading(out, f"now / {earlier}")
        out.print(movement_table(moves))
    out.print(
        "\n[dim]Queries per second, medians; at a recall: on the Pareto front of the settings.\n"
        "annkit / faiss: the best of each, by kind of index. MB = 10^6 bytes.[/]"
    )


def _heading(out: Any, title: str) -> None:
    out.print()
    out.print(title, style="bold", markup=False, soft_wrap=True)
