"""Nearest neighbour search and hashing at the speed the hardware allows."""

from annkit._core import (
    PQ,
    Bits,
    Codec,
    Flat,
    FormatError,
    Index,
    NotFittedError,
    Raw,
    __version__,
    get_threads,
    hamming,
    load,
    set_threads,
    simd,
)
from annkit._results import RangeResult, SearchResult

__all__ = [
    "PQ",
    "Bits",
    "Codec",
    "Flat",
    "FormatError",
    "Index",
    "NotFittedError",
    "RangeResult",
    "Raw",
    "SearchResult",
    "__version__",
    "get_threads",
    "hamming",
    "load",
    "set_threads",
    "simd",
]
