"""What pickles name: functions of a module, as methods of compiled classes cannot be pickled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from annkit._core import Codec, Index, KMeans, Transform


def index_from_bytes(data: bytes) -> Index:
    """Return the index that these bytes of ``to_bytes`` hold."""
    return Index.from_bytes(data)


def transform_from_bytes(data: bytes) -> Transform:
    """Return the transform that these bytes of ``to_bytes`` hold."""
    return Transform.from_bytes(data)


def codec_from_bytes(data: bytes) -> Codec:
    """Return the codec that these bytes of ``to_bytes`` hold."""
    return Codec.from_bytes(data)


def kmeans_of(
    kind: type[KMeans],
    k: int,
    rest: dict[str, Any],
    learned: tuple[NDArray[np.float32], NDArray[np.float64]] | None,
) -> KMeans:
    """Return the KMeans of these arguments, which has learned these centroids and their objective."""
    model = kind.__new__(kind)
    KMeans.__init__(model, k, **rest)  # a subclass may take other arguments
    if learned is not None:
        model._restore(*learned)
    return model
