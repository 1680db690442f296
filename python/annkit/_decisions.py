"""How good yes-or-no answers are: the part of annkit.metrics that knows no rankings."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Bools = NDArray[np.bool_]


def f1(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return F1, the harmonic mean of precision and recall, of yes-or-no answers.

    Parameters
    ----------
    predicted, truth : array_like of bool, one shape

    Returns
    -------
    float
        0 where nothing is predicted or true.

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.f1([True, True, False, False], [True, False, True, False])
    0.5
    """
    said, true = _answers(predicted, truth)
    both = int((said & true).sum())
    return 2 * both / max(int(said.sum()) + int(true.sum()), 1)


def gmean(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Return the geometric mean of the recalls of both classes, sensitivity and specificity.

    Parameters
    ----------
    predicted, truth : array_like of bool, one shape

    Returns
    -------
    float
        NaN where a class is empty.

    Examples
    --------
    >>> import annkit as ak
    >>> round(ak.metrics.gmean([True, True, False, False], [True, False, False, False]), 4)
    0.8165
    """
    said, true = _answers(predicted, truth)
    if true.all() or not true.any():
        return float("nan")
    return float(np.sqrt(said[true].mean() * (~said[~true]).mean()))


def auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Return the area under the ROC curve: how often a true one scores above a false one, ties counted half.

    Parameters
    ----------
    scores : array_like
        Larger means yes: hand in negated distances.
    truth : array_like of bool, shape of scores

    Returns
    -------
    float
        NaN where a class is empty.

    Examples
    --------
    >>> import annkit as ak
    >>> ak.metrics.auc([0.9, 0.4, 0.4, 0.1], [True, True, False, False])
    0.875
    """
    given, true = np.asarray(scores), np.asarray(truth).astype(bool)
    if given.shape != true.shape:
        raise ValueError(f"scores have shape {given.shape}, truth {true.shape}")
    if np.isnan(given).any():
        raise ValueError("scores have NaN")
    positives, negatives = int(true.sum()), int((~true).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    _, level, count = np.unique(given.ravel(), return_inverse=True, return_counts=True)
    ranks = (count.cumsum() - (count - 1) / 2)[level.ravel()]  # mean rank of equal scores, from 1
    above = ranks[true.ravel()].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def _answers(predicted: ArrayLike, truth: ArrayLike) -> tuple[_Bools, _Bools]:
    said, true = np.asarray(predicted).astype(bool), np.asarray(truth).astype(bool)
    if said.shape != true.shape:
        raise ValueError(f"predicted has shape {said.shape}, truth {true.shape}")
    return said, true
