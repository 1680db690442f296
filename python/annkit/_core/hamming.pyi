from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annkit._results import RangeResult, SearchResult

def pairwise(a: ArrayLike, b: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.int32]: ...
def range(
    queries: ArrayLike, codes: ArrayLike, radius: int, *, threads: SupportsIndex | None = None
) -> RangeResult: ...
def topk(
    queries: ArrayLike, codes: ArrayLike, k: SupportsIndex = 10, *, threads: SupportsIndex | None = None
) -> SearchResult: ...
