"""Faiss, each index set up as its own documents say is fastest."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

from annkit.bench.contenders.base import EF_SWEEP, NPROBE_SWEEP, Array, Contender, Search, Setting, Task, sweep

__all__ = ["FaissBinary", "FaissBinaryFlat", "FaissDirect", "FaissFactory", "FaissFlat"]


class _Faiss(Contender):
    library = "faiss"
    distribution = "faiss-cpu"
    extra = "bench"
    index: Any
    faiss: Any

    @abstractmethod
    def make(self, task: Task) -> Any:
        """Return the empty index."""

    def metric(self, task: Task) -> int:
        return int(self.faiss.METRIC_INNER_PRODUCT if task.inner_product else self.faiss.METRIC_L2)

    def build(self, base: Array, task: Task) -> None:
        self.faiss = self.module()
        self.faiss.omp_set_num_threads(task.threads)
        self.index = self.make(task)
        if not self.index.is_trained:
            self.index.train(base)
        self.index.add(base)

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        self.faiss.omp_set_num_threads(threads)
        self.apply(setting)
        search = self.index.search
        return lambda queries: search(queries, k)[1]

    def apply(self, setting: Setting) -> None:
        """Put a search setting in force."""

    def given(self) -> Setting:
        return {"compiled": self.faiss.get_compile_options().strip()}

    def index_bytes(self) -> int | None:
        binary = isinstance(self.index, self.faiss.IndexBinary)
        written = 0

        def count(piece: bytes) -> None:
            nonlocal written
            written += len(piece)

        writer = self.faiss.PyCallbackIOWriter(count)
        (self.faiss.write_index_binary if binary else self.faiss.write_index)(self.index, writer)
        del writer  # hands over what it still holds back
        return written


class FaissFlat(_Faiss):
    """IndexFlat, with matrix products only for large batches (Faiss's default) or always."""

    family = "flat"

    def __init__(self, blas_threshold: int | None) -> None:
        self.blas_threshold = blas_threshold
        self.name = "faiss Flat" + (f" blas={blas_threshold}" if blas_threshold else "")

    def supports(self, task: Task) -> bool:
        return not task.bits

    def make(self, task: Task) -> Any:
        if self.blas_threshold is not None:
            self.faiss.cvar.distance_compute_blas_threshold = self.blas_threshold
        return self.faiss.IndexFlat(task.dim, self.metric(task))

    def given(self) -> Setting:
        threshold = self.faiss.cvar.distance_compute_blas_threshold
        return {"index": "IndexFlat", "distance_compute_blas_threshold": threshold, **super().given()}


class FaissDirect(_Faiss):
    """IndexScalarQuantizer that keeps bytes as they are."""

    family = "flat"

    def __init__(self, dtype: str, qtype: str) -> None:
        self.dtype = dtype
        self.qtype = qtype
        self.name = f"faiss SQ8 {qtype.removeprefix('QT_8bit_')}"

    def supports(self, task: Task) -> bool:
        # Normalised rows are no bytes any more.
        return not task.bits and task.dtype == self.dtype and task.metric != "cosine"

    def make(self, task: Task) -> Any:
        qtype = getattr(self.faiss.ScalarQuantizer, self.qtype)
        return self.faiss.IndexScalarQuantizer(task.dim, qtype, self.metric(task))

    def given(self) -> Setting:
        return {"index": "IndexScalarQuantizer", "qtype": self.qtype, **super().given()}


class FaissBinaryFlat(_Faiss):
    """IndexBinaryFlat with either of its two ways to keep the nearest."""

    family = "flat"
    name = "faiss BinaryFlat"

    def supports(self, task: Task) -> bool:
        return task.bits

    def make(self, task: Task) -> Any:
        return self.faiss.IndexBinaryFlat(task.dim)

    def settings(self, task: Task) -> list[Setting]:
        return [{"use_heap": True}, {"use_heap": False}]

    def apply(self, setting: Setting) -> None:
        self.index.use_heap = setting["use_heap"]

    def given(self) -> Setting:
        return {"index": "IndexBinaryFlat", **super().given()}


class _Factory(_Faiss):
    """An index from a factory string; `{lists}` in it stands for 4 sqrt(n) and `{half}` for dim / 2."""

    def __init__(self, key: str, family: str, *, k_factors: tuple[int, ...] = ()) -> None:
        self.key = key
        self.family = family
        self.k_factors = k_factors
        self.name = f"faiss {key.replace('{lists}', '').replace('{half}', '')}"
        self.weight = 4.0 if family == "graph" else 2.0

    def supports(self, task: Task) -> bool:
        even = task.dim % 2 == 0 or "{half}" not in self.key
        return not task.bits and even and task.n >= 1000

    def factory_string(self, task: Task) -> str:
        return self.key.replace("{lists}", str(round(4 * math.sqrt(task.n)))).replace("{half}", str(task.dim // 2))

    def settings(self, task: Task) -> list[Setting]:
        if self.family == "graph":
            return sweep("efSearch", EF_SWEEP, at_least=task.k)
        probes = sweep("nprobe", NPROBE_SWEEP, at_most=round(4 * math.sqrt(task.n)))
        return [{**probe, "k_factor": f} for f in self.k_factors for probe in probes] if self.k_factors else probes

    def given(self) -> Setting:
        ef = {"efConstruction": self.index.hnsw.efConstruction} if self.family == "graph" else {}
        return {"factory": self.string, **ef, **super().given()}

    def make(self, task: Task) -> Any:
        self.string = self.factory_string(task)
        index = self.create(task)
        if self.family == "graph":
            index.hnsw.efConstruction = task.ef_construction
        return index

    @abstractmethod
    def create(self, task: Task) -> Any:
        """Call the factory."""


class FaissFactory(_Factory):
    """An index over floats from a factory string."""

    def create(self, task: Task) -> Any:
        return self.faiss.index_factory(task.dim, self.string, self.metric(task))

    def apply(self, setting: Setting) -> None:
        if "efSearch" in setting:
            self.index.hnsw.efSearch = setting["efSearch"]
        if "nprobe" in setting:
            self.faiss.extract_index_ivf(self.index).nprobe = setting["nprobe"]
        if "k_factor" in setting:
            self.index.k_factor = setting["k_factor"]


class FaissBinary(_Factory):
    """An index over packed bits from a factory string."""

    def supports(self, task: Task) -> bool:
        return task.bits and task.n >= 1000

    def create(self, task: Task) -> Any:
        return self.faiss.index_binary_factory(task.dim, self.string)

    def apply(self, setting: Setting) -> None:
        if "efSearch" in setting:
            self.index.hnsw.efSearch = setting["efSearch"]
        if "nprobe" in setting:
            self.index.nprobe = setting["nprobe"]
