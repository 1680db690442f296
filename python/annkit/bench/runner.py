"""Runs every contender on every data set, each in a process of its own, within a budget of time if there is one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from annkit.bench import machine, records
from annkit.bench.contenders import Contender, Task
from annkit.bench.measure import MODES
from annkit.bench.records import Record
from annkit.bench.truth import exact_neighbours, fingerprint, kth_distances
from annkit.bench.worker import Job
from annkit.datasets import Dataset

__all__ = ["Outcome", "Plan", "run"]

# A contender may overrun its share by this factor and these seconds before it is stopped.
_PATIENCE = 2.0
_GRACE = 10.0


@dataclass(frozen=True)
class Plan:
    """What to run: `budget` bounds the seconds of all contenders together, None leaves them as long as they take."""

    contenders: Sequence[Contender]
    threads: list[int]
    k: int
    ef_construction: int
    cell_seconds: float
    budget: float | None
    info: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of a run: the records, and a line for each contender that did not finish."""

    records: list[Record] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass
class _Clock:
    """Shares what is left of a budget among the contenders to come, by their weights."""

    budget: float | None
    weight_left: float
    started: float = field(default_factory=time.monotonic)

    def share(self, weight: float) -> float | None:
        if self.budget is None:
            return None
        left = max(1.0, self.budget - (time.monotonic() - self.started))
        part = left * weight / self.weight_left
        self.weight_left -= weight
        return part


def run(
    sets: Sequence[Callable[[], Dataset]], plan: Plan, report: Callable[[str, list[Record], str | None], None]
) -> Outcome:
    """Run a plan over data sets that are loaded one after the other.

    `report` is called after each contender with a line of progress, its records, and why it failed (or None).
    """
    outcome, described = Outcome(), machine.describe()
    clock = _Clock(plan.budget, 0.0)
    for position, load in enumerate(sets):
        data = load()
        task = _task(data, plan)
        able = [c for c in plan.contenders if c.supports(task)]
        weight = sum(c.weight for c in able)
        clock.weight_left = weight * (len(sets) - position)  # the sets to come are taken to be like this one
        with tempfile.TemporaryDirectory(prefix="annkit-bench-") as folder:
            about = _lay_out(data, plan.k, Path(folder))
            for contender in able:
                job = Job(
                    contender=contender.name,
                    folder=folder,
                    output=str(Path(folder) / "records.jsonl"),
                    task=asdict(task),
                    data=about,
                    threads=plan.threads,
                    modes=list(MODES),
                    cell_seconds=plan.cell_seconds,
                    total_seconds=clock.share(contender.weight),
                    machine=described,
                    run=plan.info,
                )
                found, failure = _run_job(job)
                outcome.records += found
                if failure:
                    outcome.failures.append(f"{data.name}: {contender.name}: {failure}")
                report(f"{data.name}: {contender.name}", found, failure)
    return outcome


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


def _run_job(job: Job) -> tuple[list[Record], str | None]:
    path, output = Path(job.folder) / "job.json", Path(job.output)
    output.write_text("")
    job.store(path)
    most = str(job.task["threads"])
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, most)}
    limit = None if job.total_seconds is None else job.total_seconds * _PATIENCE + _GRACE
    command = [sys.executable, "-m", "annkit.bench.worker", str(path)]
    failure = None
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode:
            failure = _reason(done.returncode, done.stderr)
    except subprocess.TimeoutExpired:
        failure = f"stopped after {limit:.0f} s, its share of the run"
    return records.read(output), failure


def _reason(code: int, errors: str) -> str:
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    return lines[-1] if lines else f"ended with exit status {code}"
