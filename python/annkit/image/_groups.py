"""Distances of image hashes, and the groups of images within a radius of each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit._core import Bits, Flat, hamming
from annkit.image._hashing import ImageHashes, Method, Progress, hash

__all__ = ["DuplicateGroup", "default_radius", "distances", "duplicates"]

# Of the views of method "copy", so many are the whole in its orientations, and the first of them is upright.
_WHOLES = 8
# Bits of 128 for method "copy", else a share of all bits. At 16 `bars.py copies` finds 0.88 of the copies of one half
# of its photographs, and of the pairs that it finds 0.97 are right.
_COPY_RADIUS = 16
_SHARE = 1 / 8
_CODES_AT_ONCE = 1 << 12
_CELLS_AT_ONCE = 1 << 25


class DuplicateGroup(NamedTuple):
    """Images that are near-duplicates, each of at least one other of the group.

    Attributes
    ----------
    members : list of Path, or of int
        Files; rows, where codes were given.
    distances : ndarray of int32
        Of each to the nearest of the others.
    """

    members: list[Any]
    distances: NDArray[np.int32]


def distances(a: ArrayLike, b: ArrayLike, *, threads: int | None = None) -> NDArray[np.int32]:
    """Return the distances of all pairs of hashed images, in bits.

    Parameters
    ----------
    a, b : ndarray of uint8, shape (n, bits / 8) or (n, 50, 16)
        Codes of one method. Those of method "copy" have views: the distance is the least between the whole of one
        image, in any orientation, and a view of the other.
    threads : int, optional

    Returns
    -------
    ndarray of int32, shape (na, nb)

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> image = np.random.default_rng(0).integers(0, 256, (1, 64, 64), dtype=np.uint8)
    >>> turned = np.rot90(image, axes=(1, 2))
    >>> ak.image.distances(ak.image.hash(image), ak.image.hash(turned))
    array([[0]], dtype=int32)
    """
    one, other = _codes(a), _codes(b)
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(f"codes have shapes {one.shape} and {other.shape}, which different methods make")
    out = np.empty((len(one), len(other)), np.int32)
    if one.ndim == 2:
        return np.asarray(hamming.pairwise(one, other, threads=threads))
    step = max(1, _CELLS_AT_ONCE // max(1, len(other) * _WHOLES * one.shape[1]))
    for first in range(0, len(one), step):
        rows = one[first : first + step]
        out[first : first + step] = np.minimum(_least(rows, other, threads), _least(other, rows, threads).T)
    return out


def duplicates(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | ImageHashes | NDArray[np.uint8],
    radius: int | None = None,
    *,
    method: Method = "copy",
    size: int = 8,
    threads: int | None = None,
    progress: Progress = None,
) -> list[DuplicateGroup]:
    """Find groups of near-duplicate images.

    Parameters
    ----------
    images : path, sequence of paths, ImageHashes, or ndarray of uint8
        A folder or files; or what `hash` made of them: an array has codes, not pixels.
    radius : int, optional
        Images whose hashes differ in at most so many bits are near-duplicates; 16 for method "copy", else an eighth of
        the bits. A larger one finds more copies, and more that are none.
    method, size : optional
        As in `hash`, for files.
    threads : int, optional
    progress : bool or callable, optional
        Of hashing files.

    Returns
    -------
    list of DuplicateGroup
        Of two members or more, the largest group first. Nearness chains: members may be farther apart than the radius.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
    >>> images[2] = images[0, ::-1]  # upside down, mirrored
    >>> ak.image.duplicates(ak.image.hash(images))
    [DuplicateGroup(members=[0, 2], distances=array([0, 0], dtype=int32))]
    """
    if not isinstance(images, (np.ndarray, ImageHashes)):
        images = hash(images, method, size=size, threads=threads, progress=progress)
    codes = _codes(images.codes if isinstance(images, ImageHashes) else images)
    radius = default_radius(codes) if radius is None else radius
    if radius < 0:
        raise ValueError(f"radius is {radius}, expected 0 or more")
    n = len(codes)
    labels, nearest = np.arange(n), np.full(n, np.iinfo(np.int32).max, np.int32)
    for a, b, apart in _pairs(codes, radius, threads):
        for ends in (a, b):
            np.minimum.at(nearest, ends, apart)
        labels = _joined(labels, a, b)
    names: list[Any] = images.paths if isinstance(images, ImageHashes) else list(range(n))
    order = np.argsort(labels, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if n else []
    groups = [DuplicateGroup([names[i] for i in mine], nearest[mine]) for mine in rows if len(mine) > 1]
    return sorted(groups, key=lambda group: -len(group.members))


def default_radius(codes: NDArray[np.uint8]) -> int:
    """Return the radius of near-duplicates for codes of this shape."""
    return _COPY_RADIUS if codes.ndim == 3 else int(8 * codes.shape[1] * _SHARE)


def _codes(given: ArrayLike) -> NDArray[np.uint8]:
    codes = np.asarray(given)
    if codes.dtype != np.uint8:
        raise TypeError(f"codes have dtype {codes.dtype}, expected uint8")
    if (codes.ndim != 2 and not (codes.ndim == 3 and codes.shape[1] > _WHOLES)) or codes.shape[-1] == 0:
        raise ValueError(f"codes have shape {codes.shape}, expected (n, bytes) or, of method copy, (n, views, bytes)")
    return codes


def _wholes(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes to ask with, side by side: every orientation of each image."""
    asked = codes[:, :_WHOLES] if codes.ndim == 3 else codes[:, None]
    return np.ascontiguousarray(asked).reshape(-1, codes.shape[-1])


def _upright(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the codes that answer, side by side: the upright whole and the parts."""
    if codes.ndim == 3:
        codes = np.delete(codes, np.s_[1:_WHOLES], axis=1)
    return np.ascontiguousarray(codes).reshape(-1, codes.shape[-1])


def _least(a: NDArray[np.uint8], b: NDArray[np.uint8], threads: int | None) -> NDArray[np.int32]:
    """Return the least distance between each whole of a and each view of b."""
    if 0 in (len(a), len(b)):
        return np.empty((len(a), len(b)), np.int32)
    found = hamming.pairwise(_wholes(a), _upright(b), threads=threads)
    return np.asarray(found.reshape(len(a), _WHOLES, len(b), -1).min(axis=(1, 3)))


_Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.signedinteger[Any]]]


def _pairs(codes: NDArray[np.uint8], radius: int, threads: int | None) -> Iterator[_Pairs]:
    """Yield pairs of different images within the radius and their distances; images of equal codes are chained."""
    if len(codes) < 2:
        return
    _, first, group = np.unique(codes.reshape(len(codes), -1), axis=0, return_index=True, return_inverse=True)
    original = first[group.ravel()]
    same = np.flatnonzero(original != np.arange(len(codes)))
    yield same, original[same], np.zeros(len(same), np.int32)
    kept = np.sort(first)
    asked, answers = _wholes(codes[kept]), _upright(codes[kept])
    if codes.ndim == 2:
        near = hamming.pairs(answers, radius, threads=threads)
        yield kept[near.i], kept[near.j], near.distances
        return
    asks, views = len(asked) // len(kept), len(answers) // len(kept)
    index = Flat(codec=Bits(), metric="hamming").add(answers, threads=threads)
    for start in range(0, len(asked), _CODES_AT_ONCE):
        lims, apart, ids = index.range_search(asked[start : start + _CODES_AT_ONCE], radius, threads=threads)
        a = (np.repeat(np.arange(len(lims) - 1), np.diff(lims)) + start) // asks
        b = ids // views
        other = a != b
        yield kept[a[other]], kept[b[other]], apart[other]


def _joined(labels: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels after joining the sets of a and b: a set's label is its least member."""
    while True:
        least = np.minimum(labels[a], labels[b])
        if (labels[a] == least).all() and (labels[b] == least).all():
            return labels
        labels = labels.copy()
        for ends in (a, b):
            np.minimum.at(labels, labels[ends], least)
            np.minimum.at(labels, ends, least)
        while (labels[labels] != labels).any():
            labels = labels[labels]
