"""The exact neighbours, and recall counted against them.

Truth comes from NumPy and not from annkit: the judge should not be a party. Candidates are found by float32 matrix
products in blocks, with a margin, and ranked by distances in float64.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annkit import metrics
from annkit.datasets import Dataset

__all__ = ["cache_folder", "distances_to", "exact_neighbours", "fingerprint", "kth_distances", "recall"]

Array = npt.NDArray[Any]

_QUERY_BLOCK = 128
_BASE_BLOCK = 65536
# float32 products round: this many more candidates than k go into the float64 ranking.
_MARGIN = 54
# A returned row counts as near enough up to this relative difference, so that rounding does not cost recall.
_TOLERANCE = 1e-6


def cache_folder() -> Path:
    """Return the folder that keeps truth between runs: $ANNKIT_CACHE, or ~/.cache/annkit."""
    return Path(os.environ.get("ANNKIT_CACHE") or Path.home() / ".cache" / "annkit")


def fingerprint(data: Dataset) -> str:
    """Return a hash of everything that the neighbours depend on."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{data.metric}".encode())
    for rows in (data.base, data.queries):
        digest.update(f"{rows.shape}{rows.dtype.str}".encode())
        digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def exact_neighbours(data: Dataset, k: int) -> Array:
    """Find the exact `k` nearest base rows of every query, from the cache if they are there.

    Returns
    -------
    ndarray of shape (n_queries, min(k, n)), int64
    """
    path = cache_folder() / "truth" / f"{fingerprint(data)}-{k}.npy"
    shape = (len(data.queries), min(k, len(data.base)))
    try:
        ids: Array = np.load(path, allow_pickle=False)
        if ids.shape == shape and ids.dtype == np.int64 and ids.min() >= 0 and ids.max() < len(data.base):
            return ids
    except (OSError, ValueError, EOFError):
        pass  # not there, or damaged: computed again
    ids = _search(data, shape[1])
    _store(path, ids)
    return ids


def _store(path: Path, ids: Array) -> None:
    """Write beside the target and rename, so that a reader never sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.save(file, ids)
        os.replace(file.name, path)
    except OSError:
        return  # a read-only home folder costs time, not the run


def _floats(rows: Array, metric: str) -> Array:
    """Return rows whose float32 products rank as the metric does."""
    if metric == "hamming":
        return np.unpackbits(rows, axis=1).astype(np.float32)
    floats = rows.astype(np.float32)
    if metric == "cosine":
        norms = np.linalg.norm(floats, axis=1, keepdims=True)
        floats /= np.where(norms > 0, norms, 1)
    return floats


def _search(data: Dataset, k: int) -> Array:
    kept = min(k + _MARGIN, len(data.base))
    squares = data.metric not in ("ip", "cosine")
    sample = _floats(data.base[:: max(1, len(data.base) // 4096)], data.metric)
    centre = sample.mean(axis=0) if squares else np.float32(0)  # smaller numbers lose less in the differences
    queries = _floats(data.queries, data.metric) - centre
    scores = np.full((len(queries), kept), np.inf, dtype=np.float32)
    ids = np.full((len(queries), kept), -1, dtype=np.int64)
    for start in range(0, len(data.base), _BASE_BLOCK):
        rows = _floats(data.base[start : start + _BASE_BLOCK], data.metric) - centre
        half_norms = np.einsum("ij,ij->i", rows, rows) / 2 if squares else np.float32(0)
        for first in range(0, len(queries), _QUERY_BLOCK):
            tile = slice(first, first + _QUERY_BLOCK)
            _merge(half_norms - queries[tile] @ rows.T, start, scores[tile], ids[tile])
    order = np.argsort(distances_to(data, ids), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1)


def _merge(block: Array, start: int, scores: Array, ids: Array) -> None:
    """Put the best of a block of scores into the best so far, in place."""
    kept = scores.shape[1]
    best = np.argpartition(block, kept - 1, axis=1)[:, :kept] if block.shape[1] > kept else None
    if best is None:
        best = np.broadcast_to(np.arange(block.shape[1]), block.shape)
    all_scores = np.concatenate([scores, np.take_along_axis(block, best, axis=1)], axis=1)
    all_ids = np.concatenate([ids, best + start], axis=1)
    order = np.argsort(all_scores, axis=1, kind="stable")[:, :kept]
    scores[:] = np.take_along_axis(all_scores, order, axis=1)
    ids[:] = np.take_along_axis(all_ids, order, axis=1)


def distances_to(data: Dataset, ids: Array) -> Array:
    """Compute, in float64, the distance from query i to the rows `ids[i]`; smaller is nearer.

    Ids that are not there (negative or too large) are infinitely far.
    """
    valid = (ids >= 0) & (ids < len(data.base))
    out = np.full(ids.shape, np.inf)
    for i, query in enumerate(data.queries):
        rows = data.base[ids[i][valid[i]]]
        out[i, valid[i]] = _row_distances(rows, query, data.metric)
    return out


def _row_distances(rows: Array, query: Array, metric: str) -> Array:
    if metric == "hamming":
        differing: Array = np.bitwise_xor(rows, query)
        return np.asarray(np.unpackbits(differing, axis=1).sum(axis=1), dtype=np.float64)
    rows, query = rows.astype(np.float64), query.astype(np.float64)
    if metric == "ip":
        return np.asarray(-(rows @ query))
    if metric == "cosine":
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        return np.asarray(1 - rows @ query / np.where(norms > 0, norms, np.inf))
    return np.asarray(((rows - query) ** 2).sum(axis=1))


def kth_distances(data: Dataset, neighbours: Array) -> Array:
    """Return the distance of every query to its true k-th neighbour, with the tolerance on top."""
    kth: Array = distances_to(data, neighbours).max(axis=1)
    return np.asarray(kth + _TOLERANCE * np.maximum(np.abs(kth), 1e-6))


def recall(data: Dataset, ids: Array, kth: Array, k: int) -> float:
    """Return the share of the k rows asked for that are at least as near as the true k-th.

    Counted by distance, so it does not matter which of several equally near rows is returned; a row returned twice
    counts once.

    Parameters
    ----------
    ids : ndarray of shape (n_queries, k)
        What an index returned; fewer columns, or -1, are misses.
    kth : ndarray of shape (n_queries,)
        From `kth_distances`.
    """
    wanted = min(k, len(data.base))
    return float(metrics.recall_by_distance(distances_to(data, ids), kth, wanted, ids=ids, tolerance=0))
