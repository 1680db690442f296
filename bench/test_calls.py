"""What a call from Python costs besides its kernel: pytest bench --benchmark-columns=median,iqr,rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import annkit as ak

ROWS = np.zeros((10, 16), np.float32)
CODES = np.zeros((10, 8), np.uint8)
MASK = np.ones(10, bool)
TRAIN = np.random.default_rng(0).standard_normal((1000, 100)).astype(np.float32)
HNSW = ak.HNSW().add(ROWS)
REFINE = ak.Refine(ak.HNSW(codec=ak.SQ(8))).fit(ROWS).add(ROWS)
ITQ = ak.hash.ITQ(64).fit(TRAIN)

CALLS = {
    "Flat.search, one query": lambda index: index.search(ROWS[:1], k=10),
    "Flat.search, a vector": lambda index: index.search(ROWS[0], k=10),
    "Flat.search, a mask": lambda index: index.search(ROWS[:1], k=10, filter=MASK),
    "Flat.search, float64": lambda index: index.search(np.zeros((1, 16)), k=10),
    "Flat.range_search": lambda index: index.range_search(ROWS[:1], 1.0),
    "Flat.reconstruct": lambda index: index.reconstruct([1]),
    "HNSW.search, ef": lambda _: HNSW.search(ROWS[0], k=10, ef=20, threads=1),
    "Refine.search over HNSW of SQ": lambda _: REFINE.search(ROWS[0], k=10, ef=20, threads=1),
    "hash.ITQ.encode, one row": lambda _: ITQ.encode(TRAIN[:1]),
    "hash.ITQ.encode, 100 rows": lambda _: ITQ.encode(TRAIN[:100]),
    "hamming.topk": lambda _: ak.hamming.topk(CODES[:1], CODES, k=10),
    "hamming.pairwise": lambda _: ak.hamming.pairwise(CODES[:1], CODES),
    "nothing (an empty function)": lambda _: None,
}


@pytest.mark.parametrize("name", CALLS)
def test_call(benchmark: Any, name: str) -> None:
    """Time a call on ten rows."""
    benchmark.group = "calls on ten rows"
    benchmark(CALLS[name], ak.Flat().add(ROWS))
