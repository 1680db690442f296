from collections.abc import Callable
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit._results import PairsResult, RangeResult, SearchResult

_Progress: TypeAlias = bool | Callable[[int, int], object]

def pairs(
    codes: ArrayLike, radius: int, *, progress: _Progress | None = None, threads: SupportsIndex | None = None
) -> PairsResult: ...
def pairwise(a: ArrayLike, b: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.int32]: ...
def range(
    queries: ArrayLike, codes: ArrayLike, radius: int, *, threads: SupportsIndex | None = None
) -> RangeResult: ...
def topk(
    queries: ArrayLike, codes: ArrayLike, k: SupportsIndex = 10, *, threads: SupportsIndex | None = None
) -> SearchResult: ...
