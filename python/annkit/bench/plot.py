"""Draws a data set's results: recall and queries per second, what memory gives, and bars for what is always exact."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from annkit.bench.choice import RECALLS, staircase
from annkit.bench.measure import MODES
from annkit.bench.needs import need
from annkit.bench.records import Record, group, pareto, qps_at
from annkit.bench.summary import MODE_NAMES, amount

__all__ = ["DARK", "LIGHT", "Theme", "draw"]


@dataclass(frozen=True)
class Theme:
    """Colours of paper, ink and faint lines."""

    paper: str
    ink: str
    faint: str
    colours: dict[str, str]


_COLOURS = {
    "annkit": "#0969da",
    "faiss": "#d9730d",
    "hnswlib": "#2da44e",
    "usearch": "#8250df",
    "rabitqlib": "#bf3989",
    "pyvsag": "#9a6700",
    "scann": "#1b9e9e",
    "svs": "#cf222e",
}
LIGHT = Theme("#ffffff", "#1f2328", "#d8dee4", _COLOURS)
DARK = Theme("#0d1117", "#e6edf3", "#30363d", {**_COLOURS, "annkit": "#58a6ff", "faiss": "#f0883e"})

_MARKERS = "osD^vPX*<>"
_LINES = ("-", "--", "-.", ":")
_LOWEST = 0.5
_CLOSEST = 1e-4
_TICKS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_DOTS = 150


@dataclass(frozen=True)
class _Style:
    colour: str
    marker: str
    line: str


def draw(records: Sequence[Record], theme: Theme = LIGHT) -> bytes:
    """Return a PNG of all records of one data set: a column for each mode, rows for each number of threads."""
    threads = list(group(records, lambda r: r.threads))
    swept = any(r.family != "flat" for r in records)
    methods = len(group([r for r in records if r.family == "flat"], lambda r: r.method))
    rows = [(kind, count) for kind in _kinds(records) for count in threads]
    heights = [{"curves": 4.2, "memory": 3.0, "exact": 0.3 * methods + 0.9}[kind] for kind, _ in rows]
    with need("matplotlib").rc_context(_settings(theme)):
        figure = need("matplotlib.figure").Figure(figsize=(11, sum(heights) + 0.6), dpi=_DOTS, layout="constrained")
        grid = figure.subplots(len(rows), len(MODES), squeeze=False, height_ratios=heights)
        styles = _styles(records, theme)
        for (kind, count), axes in zip(rows, grid, strict=True):
            for axis, mode in zip(axes, MODES, strict=True):
                here = [r for r in records if r.mode == mode and r.threads == count]
                what = ""
                if kind == "curves":
                    _curves(axis, here, styles, theme)
                elif kind == "memory":
                    what = _memory(axis, here, mode, styles, theme)
                else:
                    what = "exact search, "
                    _bars(axis, [r for r in here if r.family == "flat"], styles, labelled=mode == MODES[0])
                noun = "" if count == 1 else "s"
                axis.set_title(f"{what}{MODE_NAMES[mode]}, {count} thread{noun}", loc="left", fontsize=10)
        if swept:
            _legend(figure, grid[0])
        first = records[0]
        shape = f"{first.data['n']:,} × {first.data['dim']:,} {first.data['dtype']}"
        figure.suptitle(f"{first.data['name']}  ·  {shape}  ·  {first.data['metric']}  ·  k = {first.k}", fontsize=12)
        return _png(figure)


def _kinds(records: Sequence[Record]) -> list[str]:
    """Return what there is to draw, from top to bottom."""
    families = {r.family == "flat" for r in records}
    swept = ["curves", "memory"] if any(r.bytes_held for r in records) else ["curves"]
    return [*(swept if False in families else []), *(["exact"] if True in families else [])]


def _settings(theme: Theme) -> dict[str, Any]:
    inks = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    return {
        **dict.fromkeys(inks, theme.ink),
        **dict.fromkeys(papers, theme.paper),
        "grid.color": theme.faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "font.size": 9,
    }


def _styles(records: Sequence[Record], theme: Theme) -> dict[str, _Style]:
    """One colour a library; its methods differ by marker and line."""
    styles = {}
    for library, members in group(records, lambda r: r.library).items():
        shades = _shades(theme.colours.get(library, theme.ink), theme)
        for i, method in enumerate(group(members, lambda r: (r.family == "flat", r.method))):
            styles[method[1]] = _Style(shades[i % len(shades)], _MARKERS[i % len(_MARKERS)], _LINES[i % len(_LINES)])
    return styles


def _shades(colour: str, theme: Theme) -> list[str]:
    """Return a colour, and it mixed with the ink and with the paper."""
    colors = need("matplotlib.colors")
    mixed = [
        [(1 - share) * a + share * b for a, b in zip(colors.to_rgb(colour), colors.to_rgb(other), strict=True)]
        for other, share in ((theme.ink, 0.45), (theme.paper, 0.4))
    ]
    return [colour, *(str(colors.to_hex(rgb)) for rgb in mixed)]


def _place(recall: float) -> float:
    """Stretch the axis towards 1, where the differences are: 0.9, 0.99 and 0.999 are equally far apart."""
    return -math.log10(max(1 - recall, _CLOSEST))


def _curves(axis: Any, records: Sequence[Record], styles: dict[str, _Style], theme: Theme) -> None:
    seen = [r for r in records if r.recall >= _LOWEST]
    front = pareto(seen)
    # Steps: between two points of different methods nothing is to be had.
    front_style = {"color": theme.faint, "linewidth": 7, "zorder": 1, "drawstyle": "steps-pre"}
    axis.plot([_place(r.recall) for r in front], [r.qps for r in front], **front_style)
    for method, members in group(seen, lambda r: r.method).items():
        points = pareto(members)
        style = styles[method]
        axis.plot(
            [_place(r.recall) for r in points],
            [r.qps for r in points],
            color=style.colour,
            marker=style.marker,
            linestyle=style.line,
            linewidth=1.5,
            markersize=5,
            label=method,
            clip_on=False,
            zorder=3,
        )
    axis.set_yscale("log")
    _ticks(axis.yaxis, (1, 2, 5))
    lowest = min((r.recall for r in seen), default=1.0)
    first = max(tick for tick in _TICKS[:-3] if tick <= max(lowest, _LOWEST))
    ticks = [tick for tick in _TICKS if tick >= first]
    axis.set_xticks([_place(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    axis.set_xlim(_place(ticks[0]), _place(1.0))
    axis.set_xlabel(f"recall@{records[0].k}" if records else "recall")
    axis.set_ylabel("queries per second")
    axis.grid(which="major", linewidth=0.8)


def _memory(axis: Any, records: Sequence[Record], mode: str, styles: dict[str, _Style], theme: Theme) -> str:
    """Draw rates by memory at the middle recall, or the highest below it that is reached; return how that is called."""
    steps = {recall: staircase(records, mode, recall) for recall in RECALLS[:2]}
    recall = next((recall for recall in reversed(steps) if steps[recall]), RECALLS[0])
    chosen = steps[recall]
    if chosen:
        widest = max((r.bytes_held or 0) / r.data["n"] for r in records)
        x, y = [one.bytes_a_row for one in chosen], [one.qps for one in chosen]
        axis.plot([*x, 1.1 * widest], [*y, y[-1]], color=theme.faint, linewidth=7, zorder=1, drawstyle="steps-post")
    for method, members in group(records, lambda r: r.method).items():
        rate, held = qps_at(members, recall), members[0].bytes_held
        if rate and held:
            style = styles[method]
            axis.plot(
                held / members[0].data["n"], rate, color=style.colour, marker=style.marker, linestyle="", zorder=3
            )
    axis.set_yscale("log")
    axis.set_xscale("log")
    _ticks(axis.xaxis, (1, 1.5, 2, 3, 5, 7))
    _ticks(axis.yaxis, (1, 2, 5))
    axis.margins(x=0.08, y=0.15)
    axis.set_xlabel("bytes a row of the index")
    axis.set_ylabel("queries per second")
    axis.grid(which="major", linewidth=0.8)
    return f"at recall {recall:g}, "


def _ticks(axis: Any, steps: tuple[float, ...]) -> None:
    """Set the ticks of a logarithmic axis."""
    ticker = need("matplotlib.ticker")
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(lambda value, _: _plain(value))
    axis.set_minor_formatter(ticker.NullFormatter())
    axis.set_minor_locator(ticker.NullLocator())


def _plain(value: float) -> str:
    """Write a tick of an axis: 0.5, 250, 1.2k, 40k."""
    return f"{value:g}" if value < 1000 else f"{value / 1e3:g}k" if value < 1e6 else f"{value / 1e6:g}M"


def _bars(axis: Any, records: Sequence[Record], styles: dict[str, _Style], *, labelled: bool) -> None:
    best = {method: max(r.qps for r in members) for method, members in group(records, lambda r: r.method).items()}
    bars = axis.barh(list(best), list(best.values()), color=[styles[m].colour for m in best], height=0.65)
    axis.bar_label(bars, [amount(rate) for rate in best.values()], padding=4)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.tick_params(axis="y", length=0, labelleft=labelled)
    axis.xaxis.set_major_formatter(lambda value, _: _plain(value))
    axis.xaxis.set_major_locator(need("matplotlib.ticker").MaxNLocator(5))
    axis.set_xlabel("queries per second")


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    entries = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    entries["the fastest there is"] = axes[0].lines[0]
    columns = 4
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns, fontsize=9)


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
