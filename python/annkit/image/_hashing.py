"""Hashes of images, as arrays or in files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from annkit._core import _image, get_threads
from annkit.image._files import decoded, files_in, opened, pillow

__all__ = ["METHODS", "ImageHashes", "Method", "Progress", "hash"]

Method: TypeAlias = Literal["copy", "average", "difference", "perceptual", "block", "wavelet", "radial"]
METHODS: tuple[Method, ...] = ("copy", "average", "difference", "perceptual", "block", "wavelet", "radial")
Progress: TypeAlias = bool | Callable[[int, int], object] | None
_Path: TypeAlias = str | os.PathLike[str]
_Pixels: TypeAlias = NDArray[np.uint8]

# So many of the files that cannot be read are named in the warning; the result has all.
_NAMED = 5


class ImageHashes(NamedTuple):
    """The hashes of image files.

    Attributes
    ----------
    codes : ndarray of uint8, shape (n, bits / 8), or (n, 50, 16) for method "copy"
    paths : list of Path
        The n files that could be read, in the order of the codes.
    skipped : dict of Path to str
        The files that could not, and why.
    """

    codes: NDArray[np.uint8]
    paths: list[Path]
    skipped: dict[Path, str]


@overload
def hash(
    images: _Path | Sequence[_Path],
    method: Method = ...,
    *,
    size: int = ...,
    threads: int | None = ...,
    progress: Progress = ...,
) -> ImageHashes: ...
@overload
def hash(
    images: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
    method: Method = ...,
    *,
    size: int = ...,
    threads: int | None = ...,
    progress: Progress = ...,
) -> NDArray[np.uint8]: ...
def hash(
    images: Any, method: Method = "copy", *, size: int = 8, threads: int | None = None, progress: Progress = None
) -> Any:
    """Hash images: similar ones get codes of a small Hamming distance.

    Every method starts from a gray thumbnail whose values are means of the areas that they cover. "copy" finds copies
    that were cropped, framed, captioned, mirrored or turned: it keeps the signs of the 128 lowest frequencies of a
    cosine transform, of the whole image in its eight orientations and of 42 parts of it. Two images are as far apart as
    the whole of one and the nearest view of the other: `distances` and `duplicates` compare them so. The other methods
    give one code of ``size * size`` bits:

    ============  =========================================================================================
    average       values above their mean (Krawetz, "aHash")
    difference    values above their left neighbour (Krawetz, "dHash")
    perceptual    low frequencies of a cosine transform above their median (Krawetz, "pHash")
    block         means of blocks, at their median or above (Yang, Gu and Niu 2006, method 1)
    wavelet       the Haar approximation above its median: "block" except for values at the median
    radial        signs of the frequencies of the variances along 180 lines through the centre (De Roover and
                  others 2005, who keep the values)
    ============  =========================================================================================

    Parameters
    ----------
    images : array, sequence of arrays, path or sequence of paths
        uint8 of shape (n, h, w) or (n, h, w, 3), red first; images of different sizes as a list of (h, w) and
        (h, w, 3), or of images of Pillow; files; or a folder, of which all files with an ending of images are read,
        those in folders below it too. Files are decoded by Pillow (``pip install "annkit-native[image]"``), turned
        upright as their EXIF data say, and shown on white where they are transparent.
    method : {"copy", "average", "difference", "perceptual", "block", "wavelet", "radial"}, default "copy"
    size : int, default 8
        Side of the hash, from 2 to 64 (12 for "radial"); "copy" has no use for it.
    threads : int, optional
    progress : bool or callable, optional
        True draws a bar with tqdm; a callable gets (done, total).

    Returns
    -------
    ndarray of uint8, shape (n, ceil(bits / 8)), or (n, 50, 16) for method "copy"
        For arrays. The first bit is the highest, as in ``numpy.packbits``.
    ImageHashes
        For files: codes, paths, and the files that could not be read, which are skipped with a warning.

    Raises
    ------
    TypeError, ValueError
        Arrays of another dtype or shape, an unknown method, a folder without images.
    FileNotFoundError
        There is no such folder.
    ImportError
        Files are given and Pillow is not installed.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    >>> ak.image.hash(images, "perceptual").shape
    (2, 8)
    >>> codes = ak.image.hash([images[0], images[1], images[0, :, ::-1]])  # the last one is mirrored
    >>> ak.image.distances(codes, codes)[0] <= 16
    array([ True, False,  True])
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}, expected of {', '.join(METHODS)}")
    given = _files(images)
    if given is not None:
        return _of_files(given, method, size, threads, progress)
    codes = _image.hash(_arrays(images), method, size, threads, progress)
    return codes if method == "copy" else codes[:, 0]


def _files(images: Any) -> list[Path] | None:
    """Return the files that are meant, None if images are arrays."""
    if isinstance(images, (str, os.PathLike)):
        return files_in(images)
    if not isinstance(images, np.ndarray):
        are_paths = [isinstance(one, (str, os.PathLike)) for one in images]
        if any(are_paths):
            if not all(are_paths):
                raise TypeError("images are paths and others, expected one or the other")
            return [Path(one) for one in images]
    return None


def _arrays(images: Any) -> list[_Pixels]:
    if not isinstance(images, np.ndarray):
        return [_array(one, f"image {i}") for i, one in enumerate(images)]
    if images.dtype != np.uint8:
        raise TypeError(f"images have dtype {images.dtype}, expected uint8, from 0 to 255")
    if images.ndim == 3 and images.shape[2] == 3:
        raise ValueError(
            f"images have shape {images.shape}, which may be one in colour or many of width 3: hand in a list"
        )
    if images.ndim != 3 and not (images.ndim == 4 and images.shape[3] == 3):
        raise ValueError(f"images have shape {images.shape}, expected (n, h, w) or (n, h, w, 3)")
    if 0 in images.shape[1:]:
        raise ValueError(f"images have shape {images.shape}, expected at least one pixel")
    return list(np.ascontiguousarray(images))


def _array(image: Any, what: str) -> _Pixels:
    array = decoded(image) if hasattr(image, "getbands") else np.asarray(image)  # Pillow's images have bands
    if array.dtype != np.uint8:
        raise TypeError(f"{what} has dtype {array.dtype}, expected uint8, from 0 to 255")
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] == 3):
        raise ValueError(f"{what} has shape {array.shape}, expected (h, w) or (h, w, 3)")
    if array.size == 0:
        raise ValueError(f"{what} has shape {array.shape}, expected at least one pixel")
    return np.ascontiguousarray(array)


def _of_files(paths: list[Path], method: Method, size: int, threads: int | None, progress: Progress) -> ImageHashes:
    pillow()
    none = _image.hash([], method, size, threads, None)  # checks the arguments

    def one(path: Path) -> _Pixels | str:
        try:
            pixels = _array(opened(path), "it")
        except Exception as error:  # a decoder that meets damage raises what it likes
            return f"{type(error).__name__}: {error}"
        codes: _Pixels = _image.hash([pixels], method, size, 1, None)
        return codes

    found: list[_Pixels] = []
    kept: list[Path] = []
    skipped: dict[Path, str] = {}
    report = _reporter(progress)
    # Each thread decodes and hashes one file at a time, so that memory holds as many images as there are threads.
    pool = ThreadPoolExecutor(threads or get_threads())
    try:
        for i, (path, codes) in enumerate(zip(paths, pool.map(one, paths), strict=True)):
            if isinstance(codes, str):
                skipped[path] = codes
            else:
                kept.append(path)
                found.append(codes)
            report(i + 1, len(paths))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    if skipped:
        _warn(skipped, len(paths))
    codes = np.concatenate([none, *found])
    return ImageHashes(codes if method == "copy" else codes[:, 0], kept, skipped)


def _reporter(progress: Progress) -> Callable[[int, int], object]:
    if progress is True:
        from annkit._progress import bar

        return bar()
    return progress or (lambda done, total: None)


def _warn(skipped: dict[Path, str], total: int) -> None:
    named = ", ".join(f"{path} ({why})" for path, why in list(skipped.items())[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    warnings.warn(f"{len(skipped)} of {total} images could not be read: {named}{more}", stacklevel=4)
