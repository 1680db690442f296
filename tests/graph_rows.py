"""Rows for graphs, and what they should find among them."""

from __future__ import annotations

import numpy as np
from truth import distances, nearest


def mixture(rng, n, dim, clusters=60):
    centers = rng.standard_normal((clusters, dim)) * 1.5
    return (centers[rng.integers(clusters, size=n)] + rng.standard_normal((n, dim))).astype(np.float32)


X, Q = np.split(mixture(np.random.default_rng(3), 6200, 24), [6000])


def truth(x, q, metric="l2", k=10, allowed=None):
    return nearest(distances(q, x, metric), np.arange(len(x)), k, metric, allowed)[1]


def reached(index, x):
    """Return how many rows a search that leaves nothing out finds."""
    return (index.search(x[:1], k=len(index), ef=len(index) + 1).ids >= 0).sum()
