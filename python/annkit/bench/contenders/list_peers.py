"""The peers whose index is inverted lists: ScaNN."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from annkit.bench.contenders.base import Array, Contender, Search, Setting, Task, padded, sweep

__all__ = ["Scann"]

_REORDERS = (30, 100, 300)


class Scann(Contender):
    """ScaNN: a tree of 2 sqrt(n) leaves, anisotropic 4-bit codes, the best re-ranked."""

    library = "scann"
    distribution = "scann-core"
    name = "scann"
    family = "ivf"
    weight = 2.0
    index: Any
    built_with: Setting

    def supports(self, task: Task) -> bool:
        return not task.bits and task.n >= 1000

    def settings(self, task: Task) -> list[Setting]:
        leaves = sweep("leaves_to_search", (2, 5, 10, 20, 40, 80, 160, 320), at_most=self._leaves(task))
        kept = sweep("pre_reorder_num_neighbors", _REORDERS, at_least=task.k)
        return [{**some, **first} for some in kept for first in leaves]

    @staticmethod
    def _leaves(task: Task) -> int:
        return round(2 * math.sqrt(task.n))

    def build(self, base: Array, task: Task) -> None:
        ops = importlib.import_module("scann.scann_ops.py.scann_ops_pybind")
        distance, threshold = ("dot_product", 0.2) if task.inner_product else ("squared_l2", math.nan)
        tree = {"num_leaves": self._leaves(task), "num_leaves_to_search": 100, "training_sample_size": task.n}
        reorder = max(_REORDERS[1], task.k)
        self.built_with = {
            "distance": distance,
            **tree,
            "dimensions_per_block": 2,
            "anisotropic_quantization_threshold": None if math.isnan(threshold) else threshold,
            "reorder": reorder,
        }
        builder = ops.builder(base, task.k, distance).set_n_training_threads(task.threads).tree(**tree)
        builder = builder.score_ah(2, anisotropic_quantization_threshold=threshold)
        self.index = builder.reorder(reorder).build()

    def searcher(self, k: int, setting: Setting, threads: int) -> Search:
        how = {"final_num_neighbors": k, **setting}
        self.index.set_num_threads(threads)
        several = self.index.search_batched_parallel if threads > 1 else self.index.search_batched
        one = self.index.search

        def ids_of(queries: Array) -> Array:
            if len(queries) == 1:
                return padded(one(queries[0], **how)[0], k)[None]
            return np.asarray(several(queries, **how)[0], np.int64)

        return ids_of

    def given(self) -> Setting:
        return self.built_with
