"""A program of a user, for type checkers: test_stubs.py has mypy read it; nothing runs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import annkit as ak

x = np.zeros((10, 4), np.float32)
index = ak.Flat(codec=ak.Raw("f16"), metric="cosine", scan=None)
assert_type(index.fit(x), ak.Flat)
assert_type(index.add(x, np.arange(10), replace=True, progress=lambda done, total: None, threads=2), ak.Flat)

found = index.search(x[:2], k=np.int64(3), filter=[1, 2, 3])
assert_type(found, ak.SearchResult)
assert_type(found.ids, NDArray[np.int64])
distances, ids = index.search(x[0], 3, filter=np.ones(10, bool), threads=None)
index.search(x[:2], filter=[np.arange(3), np.ones(10, bool)])
assert_type(index.range_search(x, 0.5), ak.RangeResult)
lims, distances, ids = index.range_search(x, radius=1)

assert_type(index.remove([1, 2]).compact(), ak.Flat)
assert_type(index.reconstruct([3]), NDArray[Any])
assert_type((len(index), index.dim, index.nbytes, index.metric), tuple[int, int, int, str])
index.save("demo.ak")
index.save(Path("demo.ak"))
index.save(io.BytesIO())
assert_type(ak.load("demo.ak", mmap=True), ak.Index)
assert_type(ak.Index.from_bytes(index.to_bytes()), ak.Index)

assert_type(ak.hamming.topk(x.view(np.uint8), x.view(np.uint8), k=2), ak.SearchResult)
assert_type(ak.hamming.range(x.view(np.uint8), x.view(np.uint8), radius=2), ak.RangeResult)
assert_type(ak.hamming.pairwise(x.view(np.uint8), x.view(np.uint8)), NDArray[np.int32])
assert_type(ak.image.hash(np.zeros((1, 9, 9), np.uint8), "average"), NDArray[np.uint8])
assert_type(ak.image.distances(np.zeros((1, 8), np.uint8), np.zeros((1, 8), np.uint8)), NDArray[np.int32])
assert_type(ak.image.duplicates(np.zeros((1, 8), np.uint8)), list[ak.image.DuplicateGroup])
assert_type(ak.metrics.auc([0.1, 0.9], [False, True]), float)
assert_type(ak.simd.levels(), list[str])
ak.set_threads(None)
assert_type(ak.get_threads(), int)

# What a checker has to refuse; under mypy --strict an "ignore" that ignores nothing is an error itself.
ak.Flat(metric="l3")  # type: ignore[arg-type]
ak.Flat(ak.Bits())  # type: ignore[call-arg]
ak.image.hash(np.zeros((1, 9, 9), np.uint8), "md5")  # type: ignore[call-overload]
ak.Raw("f64")  # type: ignore[arg-type]
index.search(x, nprobe="many")  # type: ignore[arg-type]
index.find(x)  # type: ignore[attr-defined]
