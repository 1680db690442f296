"""Data sets that need no file: patches of the photographs that scikit-learn installs, and random vectors.

The patches are real data that is there after the installation, without a network. Tiles of each photograph are set
aside; queries come from inside them and base patches do not touch them, so no query shares a pixel with a base row.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from annkit.datasets import Dataset

__all__ = ["generate"]

_SIDE = 8
_STRIDE = 2
_TILE = 64
_QUERIES = 1000
_MAX_RANDOM = 1 << 33
# Variance added before the division, as in Coates, Lee and Ng (2011), section 3.1: keeps noise in flat sky small.
_CONTRAST_FLOOR = 10.0

Array = npt.NDArray[Any]


def generate(name: str) -> Dataset | None:
    """Make the data set of that name, the same at every call.

    Parameters
    ----------
    name : str
        ``patches``: 8x8 colour patches, mean removed and contrast normalised, 192 float32; ``patches-u8``: the same
        patches as pixels, 192 uint8; ``patches-256bit``: signs of 256 random projections of ``patches``, packed;
        ``random-<n>x<dim>``: n Gaussian rows.

    Returns
    -------
    Dataset or None
        None if the name is not known.
    """
    if match := re.fullmatch(r"random-(\d+)x(\d+)", name):
        return _random(name, int(match[1]), int(match[2]))
    if name not in ("patches", "patches-u8", "patches-256bit"):
        return None
    base, queries = _pixels()
    if name == "patches-u8":
        return Dataset(name, base, queries, "l2")
    base, queries = _normalised(base), _normalised(queries)
    if name == "patches":
        return Dataset(name, base, queries, "l2")
    return Dataset(name, *_signs(base, queries, bits=256), "hamming")


def _random(name: str, n: int, dim: int) -> Dataset:
    if n < 1 or dim < 1 or n * dim > _MAX_RANDOM:
        raise ValueError(f"{name}: expected at least one row and column and at most 2^33 values")
    rng = np.random.default_rng(0)
    base = rng.standard_normal((n, dim), dtype=np.float32)
    return Dataset(name, base, rng.standard_normal((_QUERIES, dim), dtype=np.float32), "l2")


def _pixels() -> tuple[Array, Array]:
    try:
        samples = importlib.import_module("sklearn.datasets")
        photographs = samples.load_sample_images().images
    except ImportError as error:
        message = 'the photographs come with scikit-learn and pillow: pip install "annkit-native[bench]"'
        raise ImportError(message) from error
    base, queries = zip(*(_split(np.asarray(photograph)) for photograph in photographs), strict=True)
    candidates = np.concatenate(queries)
    chosen = np.linspace(0, len(candidates) - 1, _QUERIES).astype(np.intp)
    return np.concatenate(base), candidates[chosen]


def _split(photograph: Array) -> tuple[Array, Array]:
    """Cut one photograph (height, width, 3) into patches outside and patches inside of the tiles set aside."""
    rows, columns = (np.arange(size) // _TILE for size in photograph.shape[:2])
    aside = (2 * rows[:, None] + 3 * columns[None, :]) % 9 == 4
    windows = np.lib.stride_tricks.sliding_window_view
    covered = windows(aside, (_SIDE, _SIDE))[::_STRIDE, ::_STRIDE].sum(axis=(2, 3))
    patches = windows(photograph, (_SIDE, _SIDE), axis=(0, 1))[::_STRIDE, ::_STRIDE]
    patches = np.moveaxis(patches, 2, -1)  # channels last, as in the photograph
    outside, inside = covered == 0, covered == _SIDE * _SIDE
    return patches[outside].reshape(-1, _SIDE * _SIDE * 3), patches[inside].reshape(-1, _SIDE * _SIDE * 3)


def _normalised(pixels: Array) -> Array:
    rows = pixels.astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.sqrt(rows.var(axis=1, keepdims=True) + np.float32(_CONTRAST_FLOOR))
    return rows


def _signs(base: Array, queries: Array, *, bits: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((base.shape[1], bits), dtype=np.float32)
    centre = base.mean(axis=0)
    return tuple(np.packbits((rows - centre) @ directions > 0, axis=1) for rows in (base, queries))  # type: ignore[return-value]
