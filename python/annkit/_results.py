"""What searches return."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SearchResult(NamedTuple):
    """The nearest rows of each query, nearest first.

    Attributes
    ----------
    distances : ndarray of shape (nq, k)
        float32 in the metric's own terms, int32 for Hamming. Where there are fewer than k hits: inf (-inf for "ip"),
        the largest int32 for Hamming.
    ids : ndarray of int64, shape (nq, k)
        -1 where there are fewer than k hits.
    """

    distances: NDArray[Any]
    ids: NDArray[np.int64]


class RangeResult(NamedTuple):
    """All rows within a radius of each query, nearest first.

    Attributes
    ----------
    lims : ndarray of int64, shape (nq + 1,)
        The hits of query i lie from ``lims[i]`` to ``lims[i + 1]``.
    distances : ndarray of shape (lims[-1],)
        float32, or int32 for Hamming.
    ids : ndarray of int64, shape (lims[-1],)
    """

    lims: NDArray[np.int64]
    distances: NDArray[Any]
    ids: NDArray[np.int64]


class PairsResult(NamedTuple):
    """All pairs of codes within a radius, in the order of the earlier code, then of the later one.

    With SciPy, ``csr_array((distances, j, lims))`` is the matrix of them.

    Attributes
    ----------
    lims : ndarray of int64, shape (n + 1,)
        The pairs of code i with later ones lie from ``lims[i]`` to ``lims[i + 1]``.
    distances : ndarray of int16, shape (lims[-1],)
    j : ndarray of int32, shape (lims[-1],)
        Positions of the later codes.
    """

    lims: NDArray[np.int64]
    distances: NDArray[np.int16]
    j: NDArray[np.int32]

    @property
    def i(self) -> NDArray[np.int32]:
        """Positions of the earlier codes, shape (lims[-1],); made anew each time."""
        return np.repeat(np.arange(len(self.lims) - 1, dtype=np.int32), np.diff(self.lims))
