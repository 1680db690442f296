"""Answers computed by NumPy alone, and how a result is compared with them."""

from __future__ import annotations

import numpy as np

PAD_COUNT = np.iinfo(np.int32).max


def round_to(x, element):
    """Return what a raw codec of this element type keeps of x, in float64."""
    if element == "f16":
        return np.asarray(x, np.float16).astype(np.float64)
    if element == "bf16":
        return from_bf16(to_bf16(x)).astype(np.float64)
    return np.asarray(x, np.float32 if element == "f32" else None).astype(np.float64)


def to_bf16(x):
    """Return the nearest bfloat16 of finite float32, ties to even, as uint16."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def in_halves(x):
    """Return float32 rows in halves: the upper 16 bits of all floats of a row, rounded, then the lower ones."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    upper = (bits + 0x8000) >> 16
    return np.concatenate([upper, (bits - (upper << 16)) & 0xFFFF], axis=-1).astype(np.uint16)


def from_bf16(bits):
    """Return bfloat16, given as uint16, as float32."""
    return (np.asarray(bits).astype(np.uint32) << 16).view(np.float32)


def distances(queries, rows, metric):
    """Return float64 distances of all pairs (nq, n) in the metric's public terms."""
    q, x = np.asarray(queries, np.float64), np.asarray(rows, np.float64)
    dot = q @ x.T
    if metric == "ip":
        return dot
    if metric == "cosine":
        norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        return np.where(norms > 0, 1 - dot / np.where(norms > 0, norms, 1), 1.0)
    squared = np.stack([((x - one) ** 2).sum(axis=1) for one in q]) if len(q) else np.zeros((0, len(x)))
    return np.sqrt(squared) if metric == "euclidean" else squared


def hamming(queries, codes):
    """Return Hamming distances of all pairs of packed codes, by counting unpacked bits."""
    q, c = np.unpackbits(queries, axis=1), np.unpackbits(codes, axis=1)
    ones = (q.astype(np.float32) @ c.T.astype(np.float32)).astype(np.int64)  # exact below 2^24 bits
    return q.sum(axis=1, dtype=np.int64)[:, None] + c.sum(axis=1, dtype=np.int64) - 2 * ones


def padding(metric):
    """Return the distance where there is no hit."""
    return {"ip": -np.inf, "hamming": PAD_COUNT}.get(metric, np.inf)


def nearest(table, ids, k, metric, allowed=None):
    """Return (distances, ids) of the k nearest by a table of distances, ties by id, padded."""
    allowed = np.ones(table.shape, bool) if allowed is None else np.broadcast_to(allowed, table.shape)
    out = np.full((len(table), k), padding(metric), np.float64), np.full((len(table), k), -1, np.int64)
    for i, row in enumerate(table):
        kept = np.flatnonzero(allowed[i])
        order = kept[np.lexsort((ids[kept], -row[kept] if metric == "ip" else row[kept]))][:k]
        out[0][i, : len(order)], out[1][i, : len(order)] = row[order], ids[order]
    return out


def assert_same(result, expected):
    """Compare two results value by value."""
    np.testing.assert_array_equal(result[-1], expected[-1])
    for got, wanted in zip(result[:-1], expected[:-1], strict=True):
        np.testing.assert_array_equal(got, wanted)


def assert_nearest(result, table, ids, metric, tolerance, allowed=None, ties=True):
    """Check a search of floats: right distances up to the tolerance, each id's own, no id twice, nearest first."""
    got, got_ids = result
    k = got.shape[1]
    wanted, wanted_ids = nearest(table, ids, k, metric, allowed)
    np.testing.assert_array_equal(got_ids == -1, wanted_ids == -1)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)
    column = {int(one): at for at, one in enumerate(ids)}
    sign = -1 if metric == "ip" else 1
    for i, row in enumerate(got_ids):
        found = row[row >= 0]
        assert len(set(found.tolist())) == len(found)
        at = [column[int(one)] for one in found]
        np.testing.assert_allclose(got[i, : len(found)], table[i, at], rtol=0, atol=tolerance)
        if allowed is not None:
            assert np.broadcast_to(allowed, table.shape)[i, at].all()
        own = sign * got[i, : len(found)]
        assert (np.diff(own) >= 0).all()
        assert not ties or (np.diff(found)[np.diff(own) == 0] > 0).all()


def tolerance_of(queries, rows, metric):
    """Return how far float32 sums may be off: some units in the last place of the largest terms."""
    q = np.linalg.norm(np.asarray(queries, np.float64), axis=1).max(initial=0)
    x = np.linalg.norm(np.asarray(rows, np.float64), axis=1).max(initial=0)
    unit = 2.0**-24 * (16 + np.shape(rows)[1])
    if metric == "cosine":
        return 4 * unit
    if metric == "ip":
        return unit * q * x
    return unit * (q + x) ** 2 if metric == "l2" else np.sqrt(unit) * (q + x) / 8
