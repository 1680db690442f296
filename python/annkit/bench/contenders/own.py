"""annkit's own indexes."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from annkit.bench.contenders.base import Array, Contender, Search, Setting, Task

__all__ = ["OwnBits", "OwnFlat"]


class _Own(Contender):
    library = "annkit"
    distribution = "annkit-native"
    index_class: str
    index: Any

    def missing(self) -> str | None:
        try:
            module = importlib.import_module("annkit")
        except ImportError as error:
            return f"annkit could not be imported: {error}"
        return None if hasattr(module, self.index_class) else f"this annkit has no {self.index_class}"

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        search = self.index.search
        return lambda queries: search(queries, k=k, threads=threads, **setting)[1]

    def given(self) -> Setting:
        return {"index": repr(self.index), "simd": self.module().simd.level()}

    def version(self) -> str | None:
        return str(self.module().__version__)

    def index_bytes(self) -> int | None:
        return int(self.index.nbytes)


class OwnFlat(_Own):
    """Flat over raw rows of one type, or its scan in 8 bits whose results are exact all the same."""

    index_class = "Flat"
    family = "flat"

    def __init__(self, codec: str, *, scan: str | None = None) -> None:
        self.codec = codec
        self.scan = {} if scan is None else {"scan": scan}
        self.name = f"annkit Flat {codec}" + (f" scan={scan}" if scan else "")

    def supports(self, task: Task) -> bool:
        if task.bits or (self.scan and task.dtype in ("uint8", "int8")):  # those are bytes already
            return False
        narrow = {"u8": "uint8", "i8": "int8", "f16": "float16"}
        return narrow.get(self.codec, task.dtype) == task.dtype

    def prepare(self, rows: Array, task: Task) -> Array:
        return np.array(rows, dtype=np.float32 if self.codec == "f32" else rows.dtype, order="C")

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        self.index = ak.Flat(codec=ak.Raw(self.codec), metric=task.metric, **self.scan)
        self.index.add(base)


class OwnBits(_Own):
    """Flat over packed bits."""

    index_class = "Flat"
    family = "flat"
    name = "annkit Flat bits"

    def supports(self, task: Task) -> bool:
        return task.bits

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        self.index = ak.Flat(codec=ak.Bits(), metric="hamming")
        self.index.add(base)
