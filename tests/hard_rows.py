"""Rows that are hard to tell apart, by rounding, by size or by ties."""

from __future__ import annotations

import numpy as np


def blobs(rng, n, dim, centers, spread=0.3):
    means = rng.standard_normal((centers, dim)) * 3
    return (means[rng.integers(0, centers, n)] + rng.standard_normal((n, dim)) * spread).astype(np.float32)


HARD = {
    "integers with ties": lambda rng, n: rng.integers(0, 3, (n, 64)),
    "bytes": lambda rng, n: rng.integers(0, 256, (n, 50)),
    "normal": lambda rng, n: rng.standard_normal((n, 100)),
    "equal": lambda rng, n: np.full((n, 48), 0.1),
    "far": lambda rng, n: rng.standard_normal((n, 64)) + 300,
    "tiny": lambda rng, n: rng.standard_normal((n, 64)) * 1e-15,
    "denormal": lambda rng, n: rng.standard_normal((n, 64)) * 1e-22,
    "huge": lambda rng, n: rng.standard_normal((n, 64)) * 1e17,
    "largest": lambda rng, n: rng.standard_normal((n, 64)) * 6e17,
    "uneven": lambda rng, n: rng.standard_normal((n, 64)) * np.logspace(-3, 3, 64),
    "norms": lambda rng, n: rng.standard_normal((n, 64)) * np.exp(3 * rng.standard_normal((n, 1))),
    "wide": lambda rng, n: blobs(rng, n, 96, 40) * np.where(np.arange(96) % 40 == 5, 30, 1),
    "clusters": lambda rng, n: blobs(rng, n, 64, 40, 0.01),
}
