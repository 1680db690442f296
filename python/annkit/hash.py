"""Learned hash codes: rows become packed bits, compared by Hamming distance.

Each hash is a transform or two with ``SignBits`` behind them. The same parts work in a ``Pipeline``, which keeps and
searches codes; ``annkit.hamming`` compares those that ``encode`` gives.
"""

from __future__ import annotations

import copy
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit import _core
from annkit._core import Flat, FormatError, Pipeline, Projection, SignBits, Transform

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ITQ", "LSH", "Hash", "PCAHash", "Spectral", "load"]

_SIGNS = SignBits()  # made once: that takes 0.35 us, a sixth of coding a row


class Hash:
    """Transforms, and the signs of what they give.

    Parameters
    ----------
    *transforms : Transform
        One or more. They are copied; ``fit`` fits those that have not been fitted.
    seed : int, optional
        Used in place of the one that ``fit`` is given.

    Attributes
    ----------
    transforms : tuple of Transform
        With what they have learned.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((1000, 32))
    >>> pairs = ak.hash.Hash(ak.PCA(16), ak.Rotation()).fit(x)
    >>> pairs.encode(x).shape
    (1000, 2)
    """

    def __init__(self, *transforms: Transform, seed: SupportsIndex | None = None) -> None:
        if not transforms or not all(isinstance(one, Transform) for one in transforms):
            raise TypeError(f"got {transforms}, expected one or more transforms")
        self._given = self.transforms = tuple(copy.copy(one) for one in transforms)
        self.seed = seed

    def __repr__(self) -> str:
        parts = [repr(one) for one in self.transforms] + ([] if self.seed is None else [f"seed={self.seed}"])
        return f"Hash({', '.join(parts)})"

    @property
    def bits(self) -> int:
        """int: bits a code; 0 where that is not known yet."""
        return self.transforms[-1].dim_out

    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self:
        """Learn from rows. What an earlier call has learned is forgotten, transforms that were given fitted stay.

        Parameters
        ----------
        x : array_like of shape (n, dim)
        labels : array_like of int, shape (n,), optional
            Each row's class, for transforms that learn from classes.
        seed : int, default 0
            The same rows and seed give the same codes, for any number of threads.
        threads : int, optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As the transforms' ``fit`` does. The hash is as it was.
        """
        start = Hash(*self._given).index()
        seed = seed if self.seed is None else self.seed
        self.transforms = start.fit(x, labels=labels, seed=seed, threads=threads).transforms
        return self

    def encode(self, x: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.uint8]:
        """Turn rows into packed codes.

        Parameters
        ----------
        x : array_like of shape (n, dim), or (dim,) for one row
        threads : int, optional

        Returns
        -------
        ndarray of uint8, shape (n, (bits + 7) // 8)
            Bit j % 8 of byte j // 8 is set where output j is above 0.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return _SIGNS.encode(x, through=self.transforms, threads=threads)

    def index(self, *, asymmetric: bool = False) -> Pipeline:
        """Return an empty index that codes its rows so, and compares all of them with a query.

        Parameters
        ----------
        asymmetric : bool, default False
            Queries are not made bits: a row scores the sum of what the transforms made of the query, added where the
            row has the bit and subtracted elsewhere. Finds more neighbours by the same bits, and takes longer.

        Returns
        -------
        Pipeline

        Examples
        --------
        >>> import annkit as ak
        >>> ak.hash.ITQ(32).index()
        Pipeline(ITQ(32), Flat(codec=SignBits(), metric="hamming"))
        >>> ak.hash.ITQ(32).index(asymmetric=True)
        Pipeline(ITQ(32), Flat(codec=SignBits(asymmetric=True), metric="ip"))
        """
        codec = SignBits(asymmetric=asymmetric)
        return Pipeline(*self.transforms, Flat(codec=codec, metric="ip" if asymmetric else "hamming"))

    def save(self, file: str | PathLike[str] | BinaryIO) -> None:
        """Write the hash to a file, which ``annkit.load`` reads as the empty ``index()``.

        Parameters
        ----------
        file : path or binary file object
            See ``Index.save``.
        """
        self.index().save(file)


class ITQ(Hash):
    """Iterative quantization: ``annkit.ITQ`` and signs.

    Parameters
    ----------
    bits : int, default 64
    iterations : int, default 50
    start : {"pca", "cca", "lda"}, default "pca"
        "cca" and "lda" learn from classes: ``fit(x, labels=...)``.
    seed : int, optional
        Used in place of the one that ``fit`` is given.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((1000, 64))
    >>> codes = ak.hash.ITQ(bits=32).fit(x).encode(x)
    >>> codes.dtype, codes.shape
    (dtype('uint8'), (1000, 4))
    >>> ak.hamming.topk(codes[:2], codes, k=1).ids.ravel()
    array([0, 1])
    """

    def __init__(
        self,
        bits: SupportsIndex = 64,
        *,
        iterations: SupportsIndex = 50,
        start: Literal["pca", "cca", "lda"] = "pca",
        seed: SupportsIndex | None = None,
    ) -> None:
        super().__init__(_core.ITQ(bits, iterations=iterations, start=start), seed=seed)


class LSH(Hash):
    """Random hyperplanes through the mean of the rows: ``Projection`` of centred rows, and signs.

    Rows at an angle of t about the mean differ in t / pi of the bits on average (Charikar 2002).

    Parameters
    ----------
    bits : int, default 64
        May be more than the rows have dimensions.
    seed : int, optional
        Used in place of the one that ``fit`` is given.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((100, 8))
    >>> ak.hash.LSH(bits=256, seed=1).fit(x).encode(x).shape
    (100, 32)
    """

    def __init__(self, bits: SupportsIndex = 64, *, seed: SupportsIndex | None = None) -> None:
        super().__init__(Projection(bits, center=True), seed=seed)


class PCAHash(Hash):
    """Signs of the principal components: ``annkit.PCA`` and signs.

    Parameters
    ----------
    bits : int, default 64
        At most the dimension of the rows.
    seed : int, optional
        Used in place of the one that ``fit`` is given.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((100, 8))
    >>> ak.hash.PCAHash(bits=8).fit(x).encode(x).shape
    (100, 1)
    """

    def __init__(self, bits: SupportsIndex = 64, *, seed: SupportsIndex | None = None) -> None:
        super().__init__(_core.PCA(bits), seed=seed)


class Spectral(Hash):
    """Spectral hashing: ``annkit.Spectral`` and signs.

    Parameters
    ----------
    bits : int, default 64
    seed : int, optional
        Used in place of the one that ``fit`` is given.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((100, 8))
    >>> ak.hash.Spectral(bits=16).fit(x).encode(x).shape
    (100, 2)
    """

    def __init__(self, bits: SupportsIndex = 64, *, seed: SupportsIndex | None = None) -> None:
        super().__init__(_core.Spectral(bits), seed=seed)


def load(file: str | PathLike[str] | BinaryIO) -> Hash:
    """Read a hash that ``save`` has written.

    Parameters
    ----------
    file : path or binary file object

    Returns
    -------
    Hash

    Raises
    ------
    FormatError
        The file is damaged, or holds an index of another construction.

    Examples
    --------
    >>> import annkit as ak, numpy as np
    >>> x = np.random.default_rng(0).standard_normal((100, 8))
    >>> ak.hash.PCAHash(8).fit(x).save("pca.ak")
    >>> ak.hash.load("pca.ak")
    Hash(PCA(8))
    """
    index = _core.load(file)
    if not isinstance(index, Pipeline) or repr(index.codec) != repr(SignBits()):
        raise FormatError(f"the file holds {index!r}, expected transforms in front of signs")
    return Hash(*index.transforms)
