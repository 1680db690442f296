"""The data sets of choose.py: patches of photographs, real ones where they are at hand, mixtures, codes of bits."""

from __future__ import annotations

import numpy as np
from binary_bars import itq_codes, spread_codes
from figures import REAL, Rows, data_sets, mixture

from annkit.bench.generated import generate

QUERIES = 500
# Rows that are looked at, of each set.
SETS = {
    "mixture-32": (2_000, 20_000, 200_000),
    "w2v": (2_000, 20_000, 74_000),
    "sift": (2_000, 20_000, 200_000, 500_000),
    "patches": (2_000, 20_000, 116_000),
    "mixture-384": (2_000, 20_000, 100_000),
    "fashion": (2_000, 20_000, 60_000),
    "mixture-768": (2_000, 20_000, 60_000),
    "mixture-1536": (2_000, 20_000),
    "sift-64bit": (2_000, 20_000, 200_000, 500_000),
    "sift-256bit": (2_000, 20_000, 200_000, 500_000),
    "centers-64bit": (20_000, 200_000, 2_000_000),
    "centers-256bit": (20_000, 200_000, 1_000_000),
    "centers-1024bit": (20_000, 200_000),
}


def load(name: str, n: int) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return rows, queries, and whether they are packed bits."""
    if name.endswith("bit"):
        source, bits = name.removesuffix("bit").split("-")
        if source == "sift":
            return *itq_codes(real("sift", n), int(bits)), True
        codes = spread_codes(n + QUERIES, int(bits))
        return codes[QUERIES:], codes[:QUERIES], True
    if name == "patches":
        patches = generate(name)
        assert patches is not None
        some = np.random.default_rng(0).permutation(len(patches.base))[:n]
        return patches.base[some], patches.queries[:QUERIES], False
    if name in REAL:
        rows = real(name, n)
        return rows.base, rows.queries, False
    base, queries = mixture(n, int(name.split("-")[1]), QUERIES, np.random.default_rng(0))
    return base, queries, False


def real(name: str, n: int) -> Rows:
    """Return a real data set of n rows."""
    rows = next(data_sets([name], n, QUERIES), None)
    if rows is None:
        raise SystemExit(f"{name} is not at hand: see figures.data_folder")
    return rows
