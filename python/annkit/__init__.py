"""Nearest neighbour search and hashing at the speed the hardware allows."""

from annkit._core import (
    IVF,
    SQ,
    Bits,
    Codec,
    Flat,
    FormatError,
    Index,
    KMeans,
    NotFittedError,
    Raw,
    Refine,
    __version__,
    get_threads,
    hamming,
    load,
    set_threads,
    simd,
)
from annkit._results import RangeResult, SearchResult

__all__ = [
    "IVF",
    "SQ",
    "Bits",
    "Codec",
    "Flat",
    "FormatError",
    "Index",
    "KMeans",
    "NotFittedError",
    "RangeResult",
    "Raw",
    "Refine",
    "SearchResult",
    "__version__",
    "get_threads",
    "hamming",
    "load",
    "set_threads",
    "simd",
]
