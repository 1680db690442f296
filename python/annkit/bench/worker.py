"""The process of one contender on one data set: builds, sweeps, and appends each record to a file as it is made.

Started by ``runner`` as ``python -m annkit.bench.worker JOB.json``, so that libraries with OpenMP runtimes of their
own do not disturb each other and a crash costs one contender.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annkit.bench import machine
from annkit.bench.contenders import Contender, Task, by_name
from annkit.bench.measure import Timing, time_searches
from annkit.bench.memory import Growth, growth_of
from annkit.bench.needs import need
from annkit.bench.records import Record
from annkit.bench.truth import recall
from annkit.datasets import Dataset

__all__ = ["Job", "main", "run"]

Array = npt.NDArray[Any]

_MIN_CELL_SECONDS = 0.1
# The batch first, because its answers complete those to single queries.
_MODES = ("batch", "single")
# Past this recall a dearer setting has nothing to show.
_SATURATED = 0.9999


@dataclass(frozen=True)
class Job:
    """What a worker is to do; `folder` holds base.npy, queries.npy and kth.npy, records are appended to `output`."""

    contender: str
    folder: str
    output: str
    task: dict[str, Any]
    data: dict[str, Any]
    threads: list[int]
    cell_seconds: float
    total_seconds: float | None
    machine: dict[str, Any]
    run: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read a job from a JSON file."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def store(self, path: Path) -> None:
        """Write the job to a JSON file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(frozen=True)
class _Cell:
    setting: dict[str, Any]
    threads: int
    mode: str


@dataclass(frozen=True)
class _Built:
    contender: Contender
    seconds: float
    growth: Growth
    index_bytes: int | None


def main(arguments: list[str]) -> int:
    """Do the job in the file that is named."""
    run(Job.load(Path(arguments[0])))
    return 0


def run(job: Job) -> None:
    """Build and sweep one contender."""
    started = time.monotonic()
    task, folder = Task(**job.task), Path(job.folder)
    base, queries = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("base", "queries"))
    data = Dataset(job.data["name"], base, queries, task.metric)
    kth = np.load(folder / "kth.npy")
    built = _build(by_name(job.contender), base, task)
    asked = built.contender.prepare(queries, task)
    answers: dict[tuple[str, int], Array] = {}
    with Path(job.output).open("a", encoding="utf-8") as output:
        saturated: set[int] = set()
        for cell, left in _cells(job, built.contender.settings(task), saturated):
            pinned, timing = _time(job, built.contender, asked, cell, _seconds(job, started, left))
            reached = recall(data, _completed(cell, timing, answers), kth, task.k)
            record = _record(job, built, cell, timing, reached, pinned)
            output.write(json.dumps(asdict(record)) + "\n")
            output.flush()
            if reached >= _SATURATED and cell.mode == _MODES[-1] and built.contender.family != "flat":
                saturated.add(cell.threads)


def _completed(cell: _Cell, timing: Timing, answers: dict[tuple[str, int], Array]) -> Array:
    """Return an answer to every query: those that there was no time to ask alone were asked in the batch before."""
    ids = answers.setdefault((json.dumps(cell.setting), cell.threads), timing.ids)
    completed: Array = ids.copy()
    completed[timing.answered] = timing.ids
    return completed


def _cells(job: Job, settings: list[dict[str, Any]], saturated: set[int]) -> Iterator[tuple[_Cell, int]]:
    """Yield what to measure and how much is left, skipping threads that `saturated` names by then."""
    cells = [_Cell(setting, threads, mode) for setting in settings for threads in job.threads for mode in _MODES]
    for done, cell in enumerate(cells):
        if cell.threads not in saturated:
            yield cell, len(cells) - done


def _seconds(job: Job, started: float, left: int) -> float:
    if job.total_seconds is None:
        return job.cell_seconds
    share = (job.total_seconds - (time.monotonic() - started)) / left
    return min(job.cell_seconds, max(_MIN_CELL_SECONDS, share))


def _build(contender: Contender, base: Array, task: Task) -> _Built:
    rows = contender.prepare(base, task)
    contender.module()  # loading the library is neither build time nor the memory of the index
    machine.pin(machine.cores())

    def build() -> float:
        begin = time.perf_counter()
        contender.build(rows, task)
        return time.perf_counter() - begin

    seconds, growth = growth_of(build)
    return _Built(contender, seconds, growth, contender.index_bytes())


def _time(job: Job, contender: Contender, queries: Array, cell: _Cell, seconds: float) -> tuple[bool, Timing]:
    cores = job.machine["core_ids"][: cell.threads]
    pinned = machine.pin(cores)
    # OpenBLAS and other OpenMP runtimes in this process, whose own switches differ.
    with need("threadpoolctl").threadpool_limits(limits=cell.threads):
        search = contender.searcher(job.task["k"], cell.setting, cell.threads)
        return pinned, time_searches(search, queries, cell.mode, seconds)


def _record(job: Job, built: _Built, cell: _Cell, timing: Timing, reached: float, pinned: bool) -> Record:
    contender = built.contender
    return Record(
        data=job.data,
        method=contender.name,
        library=contender.library,
        version=contender.version(),
        family=contender.family,
        given=contender.given(),
        setting=cell.setting,
        mode=cell.mode,
        threads=cell.threads,
        k=job.task["k"],
        qps=timing.qps,
        passes=timing.passes,
        latency_ms=timing.latency_ms,
        recall=reached,
        queries_judged=len(timing.answered),
        build_seconds=built.seconds,
        build_threads=job.task["threads"],
        memory_kept=built.growth.kept,
        memory_peak=built.growth.peak,
        index_bytes=built.index_bytes,
        pinned=pinned,
        machine=job.machine,
        run=job.run,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
