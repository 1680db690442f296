"""The peers whose index is a graph: hnswlib, usearch, SymphonyQG of rabitqlib, VSAG and SVS."""

from __future__ import annotations

import importlib
import json
from typing import Any

import numpy as np

from annkit.bench.contenders.base import EF_SWEEP, Array, Contender, Search, Setting, Task, padded, sweep

__all__ = ["Hnswlib", "Rabitqlib", "Svs", "Usearch", "Vsag"]


class _Graph(Contender):
    family = "graph"
    weight = 4.0
    setting_name = "ef"
    index: Any
    built_with: Setting

    def supports(self, task: Task) -> bool:
        return not task.bits

    def settings(self, task: Task) -> list[Setting]:
        return sweep(self.setting_name, EF_SWEEP, at_least=task.k)

    def given(self) -> Setting:
        return self.built_with


class Hnswlib(_Graph):
    """hnswlib's HNSW with M = 16."""

    library = distribution = "hnswlib"
    name = "hnswlib"

    def build(self, base: Array, task: Task) -> None:
        space = "ip" if task.inner_product else "l2"
        self.built_with = {"space": space, "M": 16, "ef_construction": task.ef_construction}
        self.index = self.module().Index(space=space, dim=task.dim)
        self.index.init_index(max_elements=task.n, ef_construction=task.ef_construction, M=16)
        self.index.set_num_threads(task.threads)
        self.index.add_items(base, np.arange(task.n))

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        self.index.set_num_threads(threads)
        self.index.set_ef(setting["ef"])
        search = self.index.knn_query
        return lambda queries: search(queries, k)[0].astype(np.int64)

    def index_bytes(self) -> int | None:
        return int(self.index.index_file_size())


class Usearch(_Graph):
    """usearch's HNSW with one type of stored scalar."""

    library = distribution = "usearch"
    setting_name = "expansion_search"

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.name = f"usearch {dtype}"

    def supports(self, task: Task) -> bool:
        if self.dtype == "i8":  # floats are scaled by their own length, which only cosine forgives; bytes stay
            return task.metric == "cosine" or self._shifted(task)
        return task.bits == (self.dtype == "b1")

    def prepare(self, rows: Array, task: Task) -> Array:
        if not self._shifted(task):
            return super().prepare(rows, task)
        return (np.array(rows, np.uint8, order="C") ^ 128).view(np.int8)  # less 128: l2 does not notice

    def _shifted(self, task: Task) -> bool:
        return self.dtype == "i8" and task.dtype == "uint8" and task.metric == "l2"

    def build(self, base: Array, task: Task) -> None:
        metric = "hamming" if task.bits else "ip" if task.inner_product else "l2sq"
        options = {"metric": metric, "dtype": self.dtype, "connectivity": 16, "expansion_add": task.ef_construction}
        self.built_with = {**options}
        self.index = importlib.import_module("usearch.index").Index(ndim=task.dim, **options)
        self.index.add(np.arange(task.n), base, threads=task.threads)

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        self.index.expansion_search = setting["expansion_search"]
        search = self.index.search
        return lambda queries: np.asarray(search(queries, k, threads=threads).keys).astype(np.int64)

    def index_bytes(self) -> int | None:
        return int(self.index.memory_usage)


class Rabitqlib(_Graph):
    """SymphonyQG; for cosine by l2 over normalised rows, because its graph by inner product is several times worse."""

    library = distribution = "rabitqlib"

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.name = f"rabitqlib SymQG bits={bits}"

    def supports(self, task: Task) -> bool:
        return not task.bits and task.dim >= 64  # its rotation refuses fewer

    def build(self, base: Array, task: Task) -> None:
        metric = "ip" if task.metric == "ip" else "l2"
        options = {"max_degree": 32, "metric": metric, "quantization_bits": self.bits}
        self.built_with = {**options, "ef_construction": task.ef_construction}
        self.index = self.module().SymqgIndex(dim=task.dim, **options)
        self.index.build(base, ef_construction=task.ef_construction, num_threads=task.threads)

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        search, ef = self.index.search, setting["ef"]
        return lambda queries: np.asarray(search(queries, k, ef, threads)[0]).astype(np.int64)


class Vsag(_Graph):
    """VSAG's hgraph over compact codes, re-ranked by float32; it takes one query a call."""

    library = distribution = "pyvsag"
    setting_name = "ef_search"

    def __init__(self, codes: str) -> None:
        self.codes = codes
        self.name = f"pyvsag hgraph {codes.removesuffix('_uniform')}"

    def build(self, base: Array, task: Task) -> None:
        self.built_with = {
            "dtype": "float32",
            "metric_type": "ip" if task.inner_product else "l2",
            "dim": task.dim,
            "index_param": {
                "base_quantization_type": self.codes,
                "max_degree": 32,
                "ef_construction": task.ef_construction,
                "use_reorder": True,
                "precise_quantization_type": "fp32",
                "build_thread_count": task.threads,
            },
        }
        self.index = self.module().Index("hgraph", json.dumps(self.built_with))
        ids = np.arange(task.n, dtype=np.int64)
        self.index.build(vectors=base.ravel(), ids=ids, num_elements=task.n, dim=task.dim)

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        search, parameters = self.index.knn_search, json.dumps({"hgraph": setting})

        def ids_of(queries: Array) -> Array:
            return np.stack([padded(search(vector=q, k=k, parameters=parameters)[0], k) for q in queries])

        return ids_of


class Svs(_Graph):
    """Vamana of Intel's SVS over float16 (its LVQ codes refuse other makers' processors)."""

    library = "svs"
    distribution = "scalable-vs"
    setting_name = "search_window_size"

    def __init__(self, degree: int = 64) -> None:
        self.degree = degree
        self.name = f"svs Vamana{degree} f16"

    def build(self, base: Array, task: Task) -> None:
        svs = self.module()
        metric, alpha = ("MIP", 0.95) if task.inner_product else ("L2", 1.2)
        options = {"graph_max_degree": self.degree, "window_size": 128, "alpha": alpha}
        self.built_with = {**options, "metric": metric, "dtype": "float16"}
        rows, distance = base.astype(np.float16), getattr(svs.DistanceType, metric)
        parameters = svs.VamanaBuildParameters(**options)
        self.index = svs.Vamana.build(parameters, rows, distance, num_threads=task.threads)

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        self.index.num_threads = threads
        self.index.search_window_size = setting["search_window_size"]
        search = self.index.search
        return lambda queries: search(queries, k)[0].astype(np.int64)
