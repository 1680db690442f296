"""How good answers are: retrieval and detection metrics over whole arrays.

What was found comes first, the truth second. Rankings are rows, nearest first; an id of -1 is padding and never a hit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit._decisions import auc, f1, gmean

__all__ = [
    "auc",
    "average_precision",
    "f1",
    "gmean",
    "label_relevance",
    "ndcg",
    "precision",
    "precision_within",
    "recall",
    "recall_by_distance",
    "relevance",
]

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]


def relevance(ids: ArrayLike, truth: ArrayLike) -> _Bools:
    """Say which of the ids found are among each query's true ones; an id that comes again in its row is not.

    Parameters
    ----------
    ids : array_like of int, shape (nq, k)
    truth : array_like of int, shape (nq, t)
        In any order.

    Returns
    -------
    ndarray of bool, shape (nq, k)

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.relevance([[4, 2, 2, -1]], [[2, 4, 9]])
    array([[ True,  True, False, False]])
    """
    found, true = _ids(ids, "ids"), _ids(truth, "truth")
    _same_queries("ids", found, "truth", true)
    # Each id gets a number, each pair of query and id a number: then membership is one call for all queries.
    _, numbers = np.unique(np.concatenate([found.ravel(), true.ravel()]), return_inverse=True)
    numbers = numbers.ravel().astype(np.int64)
    span = int(numbers.max(initial=0)) + 1
    keys = numbers[: found.size].reshape(found.shape) + span * np.arange(len(found))[:, None]
    true_keys = numbers[found.size :].reshape(true.shape) + span * np.arange(len(true))[:, None]
    first = np.zeros(found.size, bool)
    first[np.unique(keys.ravel(), return_index=True)[1]] = True
    return np.asarray(np.isin(keys, true_keys) & first.reshape(found.shape) & (found >= 0))


def label_relevance(ids: ArrayLike, labels: ArrayLike, query_labels: ArrayLike) -> _Bools:
    """Say which of the ids found have their query's label.

    Parameters
    ----------
    ids : array_like of int, shape (nq, k)
    labels : array_like, shape (n,)
        The label of the row with id i is ``labels[i]``.
    query_labels : array_like, shape (nq,)

    Returns
    -------
    ndarray of bool, shape (nq, k)

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.label_relevance([[0, 1, 2], [2, 1, -1]], ["cat", "dog", "cat"], ["cat", "dog"])
    array([[ True, False,  True],
           [False,  True, False]])
    """
    found, known, wanted = _ids(ids, "ids"), np.asarray(labels), np.asarray(query_labels)
    if known.ndim != 1 or wanted.shape != (len(found),):
        raise ValueError(
            f"labels have shape {known.shape} and query_labels {wanted.shape}, expected (n,) and ({len(found)},)"
        )
    if found.max(initial=-1) >= len(known):
        raise ValueError(f"ids reach {found.max()}, there are {len(known)} labels")
    if len(known) == 0:
        return np.zeros(found.shape, bool)
    return np.asarray((known[found] == wanted[:, None]) & (found >= 0))


def recall(ids: ArrayLike, truth: ArrayLike, k: int | None = None, *, per_query: bool = False) -> Any:
    """Return recall@k: the share of the k true neighbours that is among the first k found.

    Parameters
    ----------
    ids : array_like of int, shape (nq, any)
        What was found. Fewer than k columns, padding and ids that repeat are misses.
    truth : array_like of int, shape (nq, t)
        The true neighbours, nearest first. Where a row has fewer than k, those are all there is to find.
    k : int, optional
        t by default.
    per_query : bool, default False
        Return the value of every query (NaN where there is nothing to find) rather than the mean.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    See Also
    --------
    recall_by_distance : where several rows are equally near.

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.recall([[7, 3, 5], [1, 2, 0]], [[3, 7, 9], [1, 2, 0]], k=2)
    1.0
    >>> ak.metrics.recall([[7, 3, 5], [1, 2, 0]], [[3, 7, 9], [1, 2, 0]], per_query=True).round(3)
    array([0.667, 1.   ])
    """
    true = _ids(truth, "truth")
    true = true[:, : _depth(k, true)]
    hits = relevance(_ids(ids, "ids")[:, : true.shape[1]], true).sum(axis=1)
    return _averaged(_ratio(hits, (true >= 0).sum(axis=1), np.nan), per_query)


def recall_by_distance(
    distances: ArrayLike,
    truth: ArrayLike,
    k: int | None = None,
    *,
    ids: ArrayLike | None = None,
    largest: bool = False,
    tolerance: float = 1e-6,
    per_query: bool = False,
) -> Any:
    """Return recall@k where a row counts if it is at least as near as the true k-th: ties do not matter.

    Parameters
    ----------
    distances : array_like, shape (nq, any)
        Of the rows found, exact ones: estimates of compressed rows make recall look better or worse. Those that are not
        finite are misses.
    truth : array_like, shape (nq, t) or (nq,)
        Distances of the true neighbours, nearest first; or of the k-th alone.
    k : int, optional
        t by default; needed where truth has the k-th alone.
    ids : array_like of int, shape of distances, optional
        A row that was found twice counts once, and -1 never.
    largest : bool, default False
        The largest are nearest, as with metric="ip".
    tolerance : float, default 1e-6
        Relative: rounding should not cost recall.
    per_query : bool, default False
        Return the value of every query rather than the mean.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.recall_by_distance([[0, 1], [0, 5]], [[0, 1], [0, 4]])
    0.75
    """
    got, true = np.asarray(distances, np.float64), np.asarray(truth, np.float64)
    if got.ndim != 2 or true.ndim not in (1, 2) or len(got) != len(true):
        raise ValueError(
            f"distances have shape {got.shape} and truth {true.shape}, expected (nq, k) and (nq, t) or (nq,)"
        )
    if true.ndim == 1 and k is None:
        raise ValueError("truth has one distance a query, so k has to be given")
    real = np.isfinite(got)
    if largest:
        got, true = -got, -true
    if true.ndim == 1:
        wanted, limit = np.full(len(true), _count(k)), true
    else:
        true = true[:, : _depth(k, true)]
        wanted = np.isfinite(true).sum(axis=1)
        limit = np.where(np.isfinite(true), true, -np.inf).max(axis=1)
    slack = tolerance * np.maximum(np.abs(np.where(np.isfinite(limit), limit, 0)), 1e-6)
    near = real & (got <= (limit + slack)[:, None])
    if ids is not None:
        given = _ids(ids, "ids")
        if given.shape != got.shape:
            raise ValueError(f"ids have shape {given.shape}, the distances {got.shape}")
        near &= relevance(np.where(near, given, -1), given)
    hits = np.minimum(near.sum(axis=1), wanted)
    return _averaged(_ratio(hits, wanted, np.nan), per_query)


def precision(relevant: ArrayLike, k: int | None = None, *, per_query: bool = False) -> Any:
    """Return precision@k: the share of the first k found that is relevant.

    Parameters
    ----------
    relevant : array_like of bool, shape (nq, any)
        From `relevance` or `label_relevance`: rankings, nearest first.
    k : int, optional
        All columns by default. Where there are fewer, the missing ones are misses.
    per_query : bool, default False
        Return the value of every query rather than the mean.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.precision([[True, False, True, True], [True, True, False, False]], k=2)
    0.75
    """
    hits = _matrix(relevant, "relevant") > 0
    depth = hits.shape[1] if k is None else _count(k)
    return _averaged(_ratio(hits[:, :depth].sum(axis=1), np.full(len(hits), depth), 0.0), per_query)


def average_precision(
    relevant: ArrayLike, k: int | None = None, *, total: ArrayLike | None = None, per_query: bool = False
) -> Any:
    """Return mean average precision (mAP), or mAP@k: precision at each relevant row, averaged over the relevant ones.

    Parameters
    ----------
    relevant : array_like of bool, shape (nq, any)
        Rankings, nearest first.
    k : int, optional
        Look at the first k alone.
    total : int or array_like of int, shape (nq,), optional
        How many are relevant in all, by which is divided (also for mAP@k, as in trec_eval); by default as many as the
        whole row has, which is right for rankings of everything.
    per_query : bool, default False
        Return the value of every query (0 where nothing is relevant) rather than the mean.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    Examples
    --------
    >>> import annkit as ak
    >>> round(ak.metrics.average_precision([[True, False, True], [False, True, False]]), 4)
    0.6667
    """
    all_hits = _matrix(relevant, "relevant") > 0
    hits = all_hits[:, : None if k is None else _count(k)]
    count = all_hits.sum(axis=1) if total is None else np.broadcast_to(np.asarray(total), len(hits))
    if (count < hits.sum(axis=1)).any():
        raise ValueError(f"total has {count[count < hits.sum(axis=1)][0]}, fewer than are relevant in its row")
    at_each = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _averaged(_ratio((at_each * hits).sum(axis=1), count, 0.0), per_query)


def ndcg(gains: ArrayLike, k: int | None = None, *, ideal: ArrayLike | None = None, per_query: bool = False) -> Any:
    """Return the normalised discounted cumulative gain, at k if given (Järvelin and Kekäläinen 2002).

    Gains are taken as they are; for the exponential form hand in ``2**relevance - 1``.

    Parameters
    ----------
    gains : array_like, shape (nq, any)
        What the row found at each rank is worth, 0 or more, nearest first.
    k : int, optional
        Look at the first k alone.
    ideal : array_like, shape (nq, any), optional
        The gains of all there is to find, in any order; those of the ranking itself by default.
    per_query : bool, default False
        Return the value of every query (0 where there is nothing to gain) rather than the mean.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    Examples
    --------
    >>> import annkit as ak
    >>> round(ak.metrics.ndcg([[3, 2, 0, 1]]), 4)
    0.9854
    """
    given = _matrix(gains, "gains").astype(np.float64)
    best = given if ideal is None else _matrix(ideal, "ideal").astype(np.float64)
    _same_queries("gains", given, "ideal", best)
    depth = None if k is None else _count(k)
    if min(given.min(initial=0), best.min(initial=0)) < 0:
        raise ValueError("gains are negative, expected 0 or more")
    best = -np.sort(-best, axis=1)[:, :depth]
    return _averaged(_ratio(_discounted(given[:, :depth]), _discounted(best), 0.0), per_query)


def precision_within(distances: ArrayLike, relevant: ArrayLike, radius: float, *, per_query: bool = False) -> Any:
    """Return the precision of all rows within a radius, as is usual for hash codes (Hamming radius 2).

    Parameters
    ----------
    distances : array_like, shape (nq, n)
        Of all rows, such as ``ak.hamming.pairwise`` gives.
    relevant : array_like of bool, shape (nq, n)
    radius : float
        Border included.
    per_query : bool, default False
        Return the value of every query rather than the mean. A query that finds nothing has precision 0.

    Returns
    -------
    float, or ndarray of float64, shape (nq,)

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.precision_within([[0, 2, 3], [4, 3, 5]], [[True, False, True], [True, True, True]], radius=2)
    0.25
    """
    near, wanted = _matrix(distances, "distances") <= radius, _matrix(relevant, "relevant") > 0
    if near.shape != wanted.shape:
        raise ValueError(f"distances have shape {near.shape}, relevant {wanted.shape}")
    return _averaged(_ratio((near & wanted).sum(axis=1), near.sum(axis=1), 0.0), per_query)


def _ids(given: ArrayLike, what: str) -> NDArray[np.int64]:
    array = np.asarray(given)
    if array.ndim != 2:
        raise ValueError(f"{what} have shape {array.shape}, expected (nq, k)")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{what} have dtype {array.dtype}, expected integers")
    return array.astype(np.int64)


def _matrix(given: ArrayLike, what: str) -> NDArray[Any]:
    array = np.asarray(given)
    if array.ndim != 2:
        raise ValueError(f"{what} have shape {array.shape}, expected (nq, k)")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} have dtype {array.dtype}, expected numbers or truth values")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(f"{what} have NaN")
    return array


def _same_queries(one: str, a: NDArray[Any], other: str, b: NDArray[Any]) -> None:
    if len(a) != len(b):
        raise ValueError(f"{one} are of {len(a)} queries, {other} of {len(b)}")


def _count(k: int | None) -> int:
    if k is None or k < 1:
        raise ValueError(f"k is {k}, expected at least 1")
    return int(k)


def _depth(k: int | None, truth: NDArray[Any]) -> int:
    depth = truth.shape[1] if k is None else _count(k)
    if depth > truth.shape[1] or depth == 0:
        raise ValueError(f"k is {depth}, truth has {truth.shape[1]} columns")
    return depth


def _discounted(gains: NDArray[Any]) -> _Floats:
    return np.asarray(gains @ (1 / np.log2(np.arange(2, gains.shape[1] + 2))), np.float64)


def _ratio(part: NDArray[Any], whole: NDArray[Any], empty: float) -> _Floats:
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1), empty), np.float64)


def _averaged(values: _Floats, per_query: bool) -> Any:
    """Return the values, or the mean of those that there are."""
    if per_query:
        return values
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")
