"""annkit's own indexes."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from annkit.bench.contenders.base import (
    EF_SWEEP,
    NPROBE_SWEEP,
    PROBES_SWEEP,
    Array,
    Contender,
    Search,
    Setting,
    Task,
    sweep,
)

__all__ = ["OwnBinary", "OwnBits", "OwnFlat", "OwnGraph", "OwnIvf", "OwnLsh"]


# PCA to fewer dimensions than this leaves too little to tell rows apart.
_NARROWEST = 32
_WIDEST_MIH = 1024


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


class OwnBinary(_Own):
    """An index over packed bits from a factory string; `{lists}` in it stands for 2 sqrt(n)."""

    index_class = "MultiIndexHash"
    weight = 0.5
    brief = False

    def __init__(self, key: str, family: str) -> None:
        self.key = key
        self.family = family
        self.name = f"annkit {key.replace('{lists}', '')}"

    def supports(self, task: Task) -> bool:
        return task.bits and task.n >= 1000 and (self.key != "BMIH" or task.dim <= _WIDEST_MIH)

    def settings(self, task: Task) -> list[Setting]:
        lists = round(2 * math.sqrt(task.n))
        return sweep("nprobe", NPROBE_SWEEP, at_most=lists) if self.family == "ivf" else [{}]

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        self.index = ak.index(self.key.format(lists=round(2 * math.sqrt(task.n))), task.dim, metric="hamming")
        self.index.fit(base)
        self.index.add(base)


class OwnIvf(_Own):
    """Inverted lists, 2 sqrt(n) of them, named as by a factory: [PCA,]IVF,CODEC[,RCODEC].

    ``PCA`` keeps a quarter of the dimensions; ``PQx4fs`` codes each pair of dimensions in 4 bits; ``R`` re-ranks
    `k_factors` times k rows by finer codes.
    """

    index_class = "IVF"
    family = "ivf"
    weight = 0.5  # there are several, and they are quick to build

    def __init__(self, key: str, *, k_factors: tuple[int, ...] = (), brief: bool = True) -> None:
        self.key = key
        self.brief = brief
        self.k_factors = k_factors
        self.name = f"annkit {key}"

    def supports(self, task: Task) -> bool:
        if task.bits or task.n < 1000:
            return False
        # PCA takes the mean away, which changes the order of inner products.
        reducible = task.metric != "ip" and task.dim >= 4 * _NARROWEST
        return reducible if "PCA" in self.key else task.dim % 2 == 0 or "PQ" not in self.key

    def settings(self, task: Task) -> list[Setting]:
        probes = sweep("nprobe", NPROBE_SWEEP, at_most=self._lists(task))
        return [{**probe, "k_factor": f} for f in self.k_factors for probe in probes] if self.k_factors else probes

    @staticmethod
    def _lists(task: Task) -> int:
        return round(2 * math.sqrt(task.n))

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        self.index = self._make(task)
        self.index.fit(base)
        self.index.add(base)

    def _make(self, task: Task) -> Any:
        """Return the empty index; rows of length one are compared by l2, which orders them as cosine does."""
        ak = self.module()
        codecs = {
            "Flat": lambda: ak.Raw("f32"),
            "SQ8": lambda: ak.SQ(8),
            "PQx4fs": lambda: ak.PQ(task.dim // 2, bits=4),
            "RaBitQ": lambda: ak.RaBitQ(),
            "RSQ8": lambda: ak.SQ(8),
            "RFlat": lambda: ak.Raw("f32"),
            "Rf16": lambda: ak.Raw("f16"),
        }
        parts = self.key.removeprefix("PCA,").split(",")[1:]
        metric = "ip" if task.metric == "ip" else "l2"
        index = ak.IVF(lists=self._lists(task), codec=codecs[parts[0]](), metric=metric)
        if self.key.startswith("PCA"):
            index = ak.Pipeline(ak.PCA(task.dim // 4), index)
        return ak.Refine(index, codec=codecs[parts[1]]()) if self.k_factors else index


class OwnLsh(_Own):
    """A table of some 64 rows a bucket."""

    index_class = "LSHTables"
    family = "lsh"
    weight = 0.5
    brief = False
    name = "annkit LSHTables"

    def supports(self, task: Task) -> bool:
        return not task.bits and task.n >= 1000

    def settings(self, task: Task) -> list[Setting]:
        return sweep("probes", PROBES_SWEEP, at_most=2 ** self._bits(task))

    @staticmethod
    def _bits(task: Task) -> int:
        return max(4, round(math.log2(task.n)) - 6)

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        # Rows of length one are compared by l2, which orders them as cosine does.
        self.index = ak.LSHTables(bits=self._bits(task), metric="ip" if task.metric == "ip" else "l2")
        self.index.fit(base)
        self.index.add(base)


class OwnGraph(_Own):
    """HNSW with 32 links a row, named as IVF is: [PCA,]HNSW,CODEC[,Rf32].

    ``PCA`` keeps a quarter of the dimensions, and at least 64; ``Rf32`` re-ranks `k_factors` times k rows.
    """

    index_class = "HNSW"
    family = "graph"
    weight = 2.0

    def __init__(self, key: str, *, k_factors: tuple[float, ...] = ()) -> None:
        self.key = key
        self.k_factors = k_factors
        self.name = f"annkit {key}"

    def supports(self, task: Task) -> bool:
        if task.bits:
            return self.key == "BHNSW"
        if self.key == "BHNSW":
            return False
        return "PCA" not in self.key or (task.metric != "ip" and task.dim > self._narrow(task))

    def settings(self, task: Task) -> list[Setting]:
        efs = sweep("ef", EF_SWEEP, at_least=task.k)
        return [{**ef, "k_factor": f} for f in self.k_factors for ef in efs] if self.k_factors else efs

    @staticmethod
    def _narrow(task: Task) -> int:
        return max(64, task.dim // 4)

    def build(self, base: Array, task: Task) -> None:
        ak = self.module()
        ak.set_threads(task.threads)
        if task.bits:
            self.index = ak.HNSW(codec=ak.Bits(), metric="hamming").add(base)
            return
        # Rows of length one are compared by l2, which orders them as cosine does.
        codec = ak.SQ(8) if "SQ8" in self.key else ak.Raw("f32")
        index: Any = ak.HNSW(codec=codec, metric="ip" if task.metric == "ip" else "l2")
        if self.key.startswith("PCA"):
            index = ak.Pipeline(ak.PCA(self._narrow(task)), index)
        self.index = ak.Refine(index) if self.k_factors else index
        self.index.fit(base)
        self.index.add(base)
