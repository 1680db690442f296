"""Runs every contender on every data set, each in a process of its own, within a budget of time if there is one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from annkit.bench import machine, records
from annkit.bench.contenders import Contender, Task
from annkit.bench.records import Record
from annkit.bench.truth import exact_neighbours, fingerprint, kth_distances
from annkit.bench.worker import Job
from annkit.datasets import Dataset

__all__ = ["Plan", "Watcher", "run"]

# A contender may overrun its share of a bounded run by this factor and these seconds before it is stopped.
_PATIENCE = 2.0
_GRACE = 10.0
_OUT_OF_TIME = "left out, the time of the run was spent"


@dataclass(frozen=True)
class Plan:
    """What to run: each data set with its contenders.

    `budget` bounds the seconds of all contenders together, None leaves them as long as they take; `timeout` bounds the
    seconds of each. `info` is kept with every record.
    """

    sets: Sequence[tuple[Dataset, Sequence[Contender]]]
    threads: list[int]
    k: int
    ef_construction: int
    cell_seconds: float
    budget: float | None
    timeout: float
    info: dict[str, Any] = field(default_factory=dict)


class Watcher(Protocol):
    """Who wants to know how a run goes."""

    def preparing(self, data: Dataset) -> None:
        """The exact neighbours of a data set are looked up or computed."""

    def starting(self, data: Dataset, contender: Contender) -> None:
        """A contender's process is about to start."""

    def finished(self, data: Dataset, contender: Contender, found: list[Record], failure: str | None) -> None:
        """It has ended, with these records, and perhaps before its time."""


@dataclass
class _Clock:
    """Shares what is left of a budget among the contenders to come, by their weights."""

    budget: float | None
    timeout: float
    weight_left: float
    started: float = field(default_factory=time.monotonic)

    def share(self, weight: float) -> tuple[float | None, float]:
        """Return the seconds to aim at (None: as many as it takes) and the seconds after which to stop."""
        if self.budget is None:
            return None, self.timeout
        left = max(0.0, self.budget - (time.monotonic() - self.started))
        part = left * weight / self.weight_left
        self.weight_left -= weight
        return part, min(min(part * _PATIENCE, left) + _GRACE, self.timeout) if left > 0 else 0.0


def run(plan: Plan, watcher: Watcher) -> list[Record]:
    """Run a plan; a contender that crashes or takes too long costs its own results only."""
    results: list[Record] = []
    described = machine.describe()
    able = [(data, [c for c in contenders if c.supports(_task(data, plan))]) for data, contenders in plan.sets]
    clock = _Clock(plan.budget, plan.timeout, sum(c.weight for _, contenders in able for c in contenders))
    for data, contenders in able:
        with tempfile.TemporaryDirectory(prefix="annkit-bench-") as folder:
            watcher.preparing(data)
            about = _lay_out(data, plan.k, Path(folder))
            for contender in contenders:
                watcher.starting(data, contender)
                aim, limit = clock.share(contender.weight)
                job = Job(
                    contender=contender.name,
                    folder=folder,
                    output=str(Path(folder) / "records.jsonl"),
                    task=asdict(_task(data, plan)),
                    data=about,
                    threads=plan.threads,
                    cell_seconds=plan.cell_seconds,
                    total_seconds=aim,
                    machine=described,
                    run=plan.info,
                )
                found, failure = _run_job(job, limit) if limit > 0 else ([], _OUT_OF_TIME)
                results += found
                watcher.finished(data, contender, found, failure)
    return results


def _task(data: Dataset, plan: Plan) -> Task:
    n, width = data.base.shape
    dim = width * 8 if data.metric == "hamming" else width
    return Task(n, dim, data.base.dtype.name, data.metric, plan.k, len(machine.cores()), plan.ef_construction)


def _lay_out(data: Dataset, k: int, folder: Path) -> dict[str, Any]:
    """Put the data and the truth where workers read them, and describe the data."""
    np.save(folder / "base.npy", data.base)
    np.save(folder / "queries.npy", data.queries)
    np.save(folder / "kth.npy", kth_distances(data, exact_neighbours(data, k)))
    width = data.base.shape[1]
    return {
        "name": data.name,
        "n": len(data.base),
        "dim": width * 8 if data.metric == "hamming" else width,
        "dtype": "bits" if data.metric == "hamming" else data.base.dtype.name,
        "metric": data.metric,
        "queries": len(data.queries),
        "hash": fingerprint(data),
    }


def _run_job(job: Job, limit: float) -> tuple[list[Record], str | None]:
    path, output = Path(job.folder) / "job.json", Path(job.output)
    output.write_text("")
    job.store(path)
    most = str(job.task["threads"])
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, most)}
    command = [sys.executable, "-m", "annkit.bench.worker", str(path)]
    failure = None
    with (Path(job.folder) / "errors.txt").open("w+b") as errors:
        try:
            worker = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                timeout=limit,
                check=False,
            )
            if worker.returncode:
                errors.seek(0)
                failure = _reason(worker.returncode, errors.read().decode(errors="replace"))
        except subprocess.TimeoutExpired:
            failure = f"stopped after {limit:.0f} s"
    return records.read(output), failure


def _reason(code: int, errors: str) -> str:
    if code < 0:
        return f"crashed with {signal.Signals(-code).name}"
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with exit status {code}"
