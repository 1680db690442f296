"""The measurements behind annkit.recommend, and the table it reads.

    python bench/choose.py build FOLDER [--data sift,mixture-384] [--rows 2000,20000] [--only IVF,HNSW16]
    taskset -c 0 python bench/choose.py ask FOLDER [--seconds 55]
    python bench/choose.py table FOLDER > python/annkit/_measured.py
    python bench/choose.py judge FOLDER

`build` makes every candidate of every data set with one thread (its seconds are CPU time, so that a busy machine does
not lengthen them) and finds the cheapest settings for each recall, `ask` times those, in pieces: it goes on where it
stopped. `table` writes what was found as a module, `judge` puts what recommend chooses beside the best there was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from choose_data import SETS, load
from figures import once

import annkit as ak
from annkit import _measured
from annkit._estimate import Mode, read
from annkit._recommend import BITS, FEW, FLOATS, advise, spec_of
from annkit.bench import machine

RECALLS = (0.8, 0.9, 0.95, 0.99)
_FACTORS = (1.0, 2.0, 4.0, 10.0, 30.0)
_MOST = {"nprobe": 4096, "ef": 1280}
_SLACK = 1.5  # what looks slower by so much in one pass is not timed
_ALONE = 200  # queries asked one by one


class Cell:
    """A data set of so many rows and what was measured on it."""

    def __init__(self, folder: Path, name: str, n: int) -> None:
        self.name, self.n, self.folder = name, n, folder / f"{name}-{n}"
        self.notes = self.folder / "found.json"
        self.found: dict[str, dict[str, Any]] = {}
        self.read()

    def path(self, kind: str) -> Path:
        """Return where the index of a kind lies."""
        return self.folder / f"{kind.replace('{', '').replace('}', '')}.ak"

    def read(self) -> None:
        """Read what was found so far."""
        if self.notes.exists():
            self.found = json.loads(self.notes.read_text())

    def keep(self, kind: str, found: dict[str, Any]) -> None:
        """Write what was found of a kind, beside what another process wrote meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.read()
        self.found[kind] = found
        self.notes.write_text(json.dumps(self.found, indent=1))

    def done(self, kind: str) -> bool:
        """Say whether a kind was asked, or is there to be asked."""
        return kind in self.found and ("us" in self.found[kind] or self.path(kind).exists())


class Judge:
    """Queries and their 10 nearest; of packed codes, rows as near as the 10th are found, whatever their ids."""

    def __init__(self, base: np.ndarray, queries: np.ndarray, bits: bool) -> None:
        self.base, self.queries, self.bits = base, queries, bits
        exact = ak.Flat(codec=ak.Bits(), metric="hamming") if bits else ak.Flat()
        self.truth, self.kth = exact.add(base).search(queries, 10, threads=1)[::-1]

    def recall(self, found: ak.SearchResult) -> float:
        """Return the share of the 10 nearest that is found."""
        if self.bits:
            return float((found.distances <= self.kth[:, -1:]).mean())
        return float((found.ids[:, :, None] == self.truth[:, None]).any(axis=2).mean())


def _knob(index: ak.Index) -> str | None:
    return next((name for name in _MOST if name in index.settings), None)


def cheapest(index: ak.Index, judge: Judge) -> tuple[dict[str, list[dict[str, float]]], float]:
    """Return, for each recall, the settings that reach it, one a k_factor and none much slower; the most recall."""
    knob = _knob(index)
    factors = [{"k_factor": f} for f in _FACTORS] if "k_factor" in index.settings else [{}]
    recalls: dict[tuple[tuple[str, float], ...], tuple[float, float]] = {}

    def ask(settings: dict[str, float]) -> float:
        key = tuple(settings.items())
        if key not in recalls:
            begin = time.process_time()
            found = index.search(judge.queries, 10, threads=1, **settings)
            recalls[key] = judge.recall(found), time.process_time() - begin
        return recalls[key][0]

    able: dict[str, list[dict[str, float]]] = {}
    for fixed in factors:
        lowest = round(10 * fixed.get("k_factor", 1)) if knob == "ef" else 1
        for recall in RECALLS:
            step = None if knob is None else _least(lambda v, f=fixed: ask({knob: v, **f}), knob, lowest, recall)
            settings = fixed if knob is None else {knob: step, **fixed}
            if (knob is None or step is not None) and ask(settings) >= recall:
                able.setdefault(str(recall), []).append(settings)
        mine = [r for key, (r, _) in recalls.items() if all(dict(key)[name] == value for name, value in fixed.items())]
        if max(mine) >= RECALLS[-1] and fixed.get("k_factor", 1) >= 4:
            break
    cost = {key: seconds for key, (_, seconds) in recalls.items()}
    for recall, settings in able.items():
        least = min(cost[tuple(one.items())] for one in settings)
        able[recall] = [one for one in settings if cost[tuple(one.items())] <= _SLACK * least]
    return able, max(r for r, _ in recalls.values())


def _least(ask: Callable[[int], float], knob: str, lowest: int, recall: float) -> int | None:
    """Return the least value of the knob that reaches the recall, to a sixteenth; None where none does."""
    low, high, before = lowest - 1, lowest, -1.0
    while (got := ask(high)) < recall:
        if high >= _MOST[knob] or (got < before + 5e-4 and high > 8 * lowest):
            return None
        low, high, before = high, 2 * high, got
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if ask(middle) >= recall else (middle, high)
    return high


def build(cell: Cell, only: list[str]) -> None:
    """Make what is not there yet."""
    base, queries, bits = load(cell.name, cell.n)
    judge = Judge(base, queries, bits)
    cell.folder.mkdir(parents=True, exist_ok=True)
    np.save(cell.folder / "queries.npy", queries)
    dim = base.shape[1] * (8 if bits else 1)
    for kind in BITS if bits else FLOATS:
        spec = spec_of(kind, cell.n, dim)
        if cell.done(kind) or spec is None or (only and not any(kind.startswith(word) for word in only)):
            continue
        begin = time.process_time()
        index = ak.index(spec, metric="hamming" if bits else "l2").fit(base, threads=1).add(base, threads=1)
        seconds = time.process_time() - begin
        settings, most = cheapest(index, judge)
        found = {"dim": dim, "spec": spec, "bytes": index.nbytes, "build": seconds, "most": most, "settings": settings}
        index.save(cell.path(kind))
        cell.keep(kind, found)
        print(f"{cell.folder.name} {spec}: {index.nbytes / cell.n:.1f} bytes, {seconds:.2f} s, {most:.4f}", flush=True)


def ask(cell: Cell, end: float) -> bool:
    """Time what was not timed yet; False where time is up."""
    queries = np.load(cell.folder / "queries.npy")
    for kind, found in list(cell.found.items()):
        if "us" in found or not cell.path(kind).exists():
            continue
        if time.perf_counter() > end:
            return False
        index = ak.load(cell.path(kind))
        found["us"], found["alone"] = {}, {}
        for recall, settings in reversed(found["settings"].items()):  # what reaches a recall reaches those below, too
            for times, timed in ((found["us"], _batch), (found["alone"], _alone)):
                times[recall] = min([*times.values(), *(timed(index, queries, one) for one in settings)])
        cell.keep(kind, found)
        cell.path(kind).unlink()
        print(f"{cell.folder.name} {found['spec']}", {r: round(us, 1) for r, us in found["us"].items()}, flush=True)
    return True


def _batch(index: ak.Index, queries: np.ndarray, settings: dict[str, float]) -> float:
    """Return the microseconds of a query of a batch, in the fastest of some passes: others use the machine, too."""
    index.search(queries[:100], 10, threads=1, **settings)
    passes = [once(lambda: index.search(queries, 10, threads=1, **settings))]
    while len(passes) < 5 and sum(passes) < 1.0:
        passes.append(once(lambda: index.search(queries, 10, threads=1, **settings)))
    return 1e6 * min(passes) / len(queries)


def _alone(index: ak.Index, queries: np.ndarray, settings: dict[str, float]) -> float:
    """Return the microseconds of a query alone: the median, for some are disturbed."""
    times: list[float] = []
    for query in queries[:_ALONE]:
        times.append(once(lambda q=query: index.search(q[None], 10, threads=1, **settings)))
        if sum(times) > 0.3:
            break
    return 1e6 * statistics.median(times)


_TOP = """\"\"\"What was measured for annkit.recommend: written by bench/choose.py, which says how.

{machine}, one thread, 10 neighbours. A line without indent is a data set, its dimension and rows; the others
are kinds of indexes: the most recall its settings reached (they were not driven far beyond 0.99), microseconds of
building a row, then of a query in a batch (the fastest of five passes) | alone (the median) at the recalls RECALLS, a
dash where it was not reached.
\"\"\"
"""


def table(folder: Path) -> None:
    """Print the module."""
    print(_TOP.format(machine=f"{machine.describe()['cpu']}, {ak.simd.level()}"))
    print(f"RECALLS = {RECALLS}")
    found = [cell for cell in cells(folder) if any("us" in one for one in cell.found.values())]
    for name, kinds in (("FLOATS", FLOATS), ("BITS", BITS)):
        print(f'\n{name} = """')
        for cell in found:
            rows = {kind: cell.found[kind] for kind in kinds if "us" in cell.found.get(kind, {})}
            if kinds[0] not in rows:  # exact search is what all others are held against
                continue
            print(cell.name, next(iter(rows.values()))["dim"], cell.n)
            for kind, one in rows.items():
                batch, alone = (" ".join(_short(one[mode].get(str(r))) for r in RECALLS) for mode in ("us", "alone"))
                print(f" {kind} {one['most']:.4f} {_short(1e6 * one['build'] / cell.n)} | {batch} | {alone}")
        print('"""')


def _short(value: float | None) -> str:
    """Write three digits."""
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def judge(folder: Path) -> None:
    """Print, for each set with its own measurements left out, what is chosen beside the best that was measured.

    Few rows, which recommend leaves to exact search, are not judged.
    """
    lost: list[float] = []
    for cell in cells(folder):
        rows = {one["spec"]: one for one in cell.found.values() if "us" in one}
        if cell.n <= FEW or not {"Flat", "BFlat"} & set(rows):
            continue
        least, most = (pick(one["bytes"] for one in rows.values()) for pick in (min, max))
        for mode, recall, limit in product(("batch", "single"), RECALLS, np.geomspace(1.05 * least, 1.05 * most, 5)):
            chosen = advised(cell, rows, int(limit), recall, mode)
            able = {spec: one for spec, one in rows.items() if one["bytes"] <= limit and str(recall) in one["us"]}
            if not able or (chosen is not None and chosen not in rows):  # nothing was measured that could be compared
                continue
            times = {spec: one["us" if mode == "batch" else "alone"][str(recall)] for spec, one in able.items()}
            best = min(times, key=times.__getitem__)
            lost.append(times[chosen] / times[best] if chosen in times else np.nan)
            where = f"{cell.folder.name:22} {mode:6} {recall:<5} {limit / cell.n:7.0f} bytes a row"
            print(f"{where} {lost[-1]:6.2f}  {chosen}  (best: {best}, {times[best]:.1f} us)")
    for share in (1.1, 1.25, 1.5):
        print(f"{np.mean(np.array(lost) <= share):.0%} of {len(lost)} take at most {share} times the least")
    print(f"{np.isnan(lost).mean():.0%} are refused, though something reached the recall, or do not reach it")


def advised(cell: Cell, rows: dict[str, Any], limit: int, recall: float, mode: Mode) -> str | None:
    """Return what recommend chooses without having seen the data set; None where it refuses."""
    bits = "BFlat" in rows
    sets = [one for one in read(_measured.BITS if bits else _measured.FLOATS) if one.name != cell.name]
    dim, dtype, metric = next(iter(rows.values()))["dim"], "bits" if bits else "float32", "hamming" if bits else "l2"
    try:
        return advise(
            sets, n=cell.n, dim=dim, limit=limit, recall=recall, dtype=dtype, metric=metric, mode=mode
        ).factory
    except ValueError:
        return None


def cells(folder: Path) -> Iterator[Cell]:
    """Yield what has been built."""
    for name, rows in SETS.items():
        for n in rows:
            if (folder / f"{name}-{n}").exists():
                yield Cell(folder, name, n)


def main() -> None:
    """Build, ask, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("build", "ask", "table", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="", help=f"of {', '.join(SETS)}")
    parser.add_argument("--rows", default="", help="as many, of those that a set has")
    parser.add_argument("--only", default="", help="beginnings of kinds")
    parser.add_argument("--seconds", type=float, default=55.0)
    given = parser.parse_args()
    names, rows, only = ([word for word in part.split(",") if word] for part in (given.data, given.rows, given.only))
    if given.step == "build":
        for name, sizes in SETS.items():
            for n in sizes:
                if (not names or name in names) and (not rows or str(n) in rows):
                    build(Cell(given.folder, name, n), only)
    elif given.step == "ask":
        end = time.perf_counter() + given.seconds
        done = all(ask(cell, end) for cell in cells(given.folder))
        print("all asked" if done else "more to ask", file=sys.stderr)
    else:
        (table if given.step == "table" else judge)(given.folder)


if __name__ == "__main__":
    main()
