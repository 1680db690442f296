"""What pickles name: functions of a module, as methods of compiled classes cannot be pickled."""

from __future__ import annotations

from annkit._core import Codec, Index, Transform


def index_from_bytes(data: bytes) -> Index:
    """Return the index that these bytes of ``to_bytes`` hold."""
    return Index.from_bytes(data)


def transform_from_bytes(data: bytes) -> Transform:
    """Return the transform that these bytes of ``to_bytes`` hold."""
    return Transform.from_bytes(data)


def codec_from_bytes(data: bytes) -> Codec:
    """Return the codec that these bytes of ``to_bytes`` hold."""
    return Codec.from_bytes(data)
