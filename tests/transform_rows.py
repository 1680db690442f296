"""Rows for transforms to learn from."""

from __future__ import annotations

import numpy as np


def rows_of(rng, n, dim):
    """Return correlated rows whose mean is far from zero and whose variances fall."""
    mix = rng.standard_normal((dim, dim)) * 0.9 ** np.arange(dim)
    return (rng.standard_normal((n, dim)) @ mix.T + 3 * rng.standard_normal(dim)).astype(np.float32)
