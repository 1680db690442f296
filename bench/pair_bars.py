"""Bars of all pairs of a million codes within a radius: of codes that are learned, of patches of photographs, of random
ones. Beside each, the seconds in which two threads write as many bytes to fresh memory and do nothing else.
"""

from __future__ import annotations

import statistics
import threading

import numpy as np
from binary_bars import code_sets, itq_codes
from figures import Limits, once, rng, show
from image_edits import photos
from PIL import Image

import annkit as ak

_RADIUS = 3
_CODES = 1_000_000
_SECONDS = 5


def pairs(limits: Limits) -> None:
    """All pairs within 3 bits, two threads."""
    for rows in code_sets(limits, 10):
        _pairs(f"{rows.name} and copies", with_copies(itq_codes(rows, 64)[0][: _CODES // 2]))
    _pairs("patches of photographs", patch_codes(32))
    _pairs("uniform", rng.integers(0, 256, (_CODES, 8)).astype(np.uint8))


def with_copies(codes: np.ndarray) -> np.ndarray:
    """Return the codes, and once more with some bits flipped."""
    flips = rng.random((len(codes), 8 * codes.shape[1])) < 0.02
    return np.concatenate([codes, np.packbits(np.unpackbits(codes, axis=1) ^ flips, axis=1)])


def patch_codes(side: int) -> np.ndarray:
    """Return perceptual hashes of patches: those without contrast have nearly equal ones."""
    paths = photos()
    codes = []
    for path in paths:
        image = np.asarray(Image.open(path).convert("RGB"))
        height, width = image.shape[:2]
        if min(height, width) <= side:
            continue
        places = rng.integers(0, (height - side, width - side), (-(-_CODES // len(paths)), 2))
        patches = np.stack([image[y : y + side, x : x + side] for y, x in places])
        codes.append(ak.image.hash(patches, "perceptual"))
    return np.concatenate(codes)[:_CODES]


def _pairs(name: str, codes: np.ndarray) -> None:
    own, limit, n = [], [], 0
    for _ in range(3):
        found: list[ak.PairsResult] = []
        own.append(once(lambda found=found: found.append(ak.hamming.pairs(codes, _RADIUS, threads=2))))
        n, same = len(found[0].j), agrees(codes, found[0])
        found.clear()
        limit.append(once(lambda n=n: _write(n)))
    seconds, least = statistics.median(own), statistics.median(limit)
    show(
        f"pairs within {_RADIUS} bits, {len(codes):,} codes",
        f"{seconds:.2f} s (aim {_SECONDS})",
        f"writing alone: {least:.2f} s",
        f"a sample agrees: {same}",
    )
    print(f"  {name}: {n:,} pairs, {(8 * len(codes) + 6 * n) / 1e9:.2f} GB")


def agrees(codes: np.ndarray, found: ak.PairsResult) -> bool:
    """Compare the pairs of some codes with all later ones with those that counting bits finds."""
    return all(_agrees(codes, found, row) for row in rng.choice(len(codes), 20, replace=False))


def _agrees(codes: np.ndarray, found: ak.PairsResult, row: int) -> bool:
    first, last = found.lims[row : row + 2]
    distances = np.unpackbits(codes[row + 1 :] ^ codes[row], axis=1).sum(axis=1)
    near = np.flatnonzero(distances <= _RADIUS)
    return bool(
        np.array_equal(found.j[first:last], near + row + 1)
        and np.array_equal(found.distances[first:last], distances[near])
    )


def _write(n: int) -> None:
    """Fill the arrays of so many pairs, by two threads."""
    arrays = [np.empty(n, dtype) for dtype in (np.int32, np.int16)]
    halves = [[array[: n // 2] for array in arrays], [array[n // 2 :] for array in arrays]]

    def fill(parts: list[np.ndarray]) -> None:
        for part in parts:
            part.fill(1)

    threads = [threading.Thread(target=fill, args=(parts,)) for parts in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
