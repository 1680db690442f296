"""Nearest neighbour search and hashing at the speed the hardware allows."""

from annkit._core import (
    Bits,
    Codec,
    Flat,
    FormatError,
    Index,
    NotFittedError,
    RaBitQ,
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
    "Bits",
    "Codec",
    "Flat",
    "FormatError",
    "Index",
    "NotFittedError",
    "RaBitQ",
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
