"""What the bench asks of a method: prepare rows, build, and search at each of its settings."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from annkit.bench.needs import installed, version_of

__all__ = [
    "EF_SWEEP",
    "NPROBE_SWEEP",
    "PROBES_SWEEP",
    "Array",
    "Contender",
    "Search",
    "Task",
    "as_floats",
    "padded",
    "sweep",
]

Array = npt.NDArray[Any]
Search = Callable[[Array], Array]
Setting = dict[str, Any]

EF_SWEEP = (10, 20, 40, 80, 120, 200, 400, 800)
NPROBE_SWEEP = (1, 2, 4, 8, 16, 32, 64, 128, 200)
PROBES_SWEEP = (16, 32, 64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True)
class Task:
    """What a contender is to do: the data, the metric, k, the threads to build with and the effort to build graphs."""

    n: int
    dim: int
    dtype: str
    metric: str
    k: int
    threads: int
    ef_construction: int

    @property
    def bits(self) -> bool:
        """Whether rows are packed bits; `dim` counts bits then."""
        return self.metric == "hamming"

    @property
    def inner_product(self) -> bool:
        """Whether peers search by inner product: cosine is normalised rows and inner product for all of them."""
        return self.metric in ("ip", "cosine")


class Contender(ABC):
    """One way to build an index, swept over its search settings; `CONTENDERS` in this package lists all of them."""

    library: ClassVar[str]
    distribution: ClassVar[str]
    extra: ClassVar[str] = "peers"
    name: str
    family: str
    # How many shares of a bounded run's time it gets: graphs are slow to build and have many settings.
    weight: float = 1.0
    # Whether a run without arguments, of three minutes, has time for it.
    brief: bool = True

    @abstractmethod
    def supports(self, task: Task) -> bool:
        """Whether it can do the task at all."""

    @abstractmethod
    def build(self, base: Array, task: Task) -> None:
        """Build the index over prepared rows; all of this is the build time."""

    @abstractmethod
    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        """Return a function from prepared queries (n, dim) to ids (n, k), with the setting in force."""

    @abstractmethod
    def given(self) -> Setting:
        """Return everything the index was built with, for the report."""

    def prepare(self, rows: Array, task: Task) -> Array:
        """Bring rows to the form the index takes; not counted in any time."""
        return as_floats(rows, task)

    def settings(self, task: Task) -> list[Setting]:
        """Return the search settings to sweep, cheapest first."""
        return [{}]

    def index_bytes(self) -> int | None:
        """Return the size of the index by its own account, or None."""
        return None

    def missing(self) -> str | None:
        """Return how to install the library where it is not installed."""
        if installed(self.library):
            return None
        return f'{self.library} is not installed: pip install "annkit-native[{self.extra}]"'

    def version(self) -> str | None:
        """Return the version of the library."""
        return version_of(self.distribution)

    def module(self) -> Any:
        """Import the library, which only the worker's process does."""
        return importlib.import_module(self.library)


def as_floats(rows: Array, task: Task) -> Array:
    """Return writable float32 rows, normalised for cosine; packed bits stay as they are."""
    if task.bits:
        return np.array(rows, dtype=np.uint8, order="C")
    floats = np.array(rows, dtype=np.float32, order="C")
    if task.metric == "cosine":
        norms = np.linalg.norm(floats, axis=1, keepdims=True)
        floats /= np.where(norms > 0, norms, 1)
    return floats


def padded(ids: Array, k: int) -> Array:
    """Return the first `k` ids of one query, filled up with -1."""
    return np.pad(np.asarray(ids, np.int64)[:k], (0, max(0, k - len(ids))), constant_values=-1)


def sweep(name: str, values: tuple[int, ...], *, at_least: int = 1, at_most: int | None = None) -> list[Setting]:
    """Return one setting a value, each brought between the bounds, without repeats.

    Examples
    --------
    >>> sweep("ef", (5, 10, 20, 40), at_least=10, at_most=30)
    [{'ef': 10}, {'ef': 20}, {'ef': 30}]
    """
    bounded = (max(at_least, value if at_most is None else min(value, at_most)) for value in values)
    return [{name: value} for value in dict.fromkeys(bounded)]
