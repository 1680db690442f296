"""What pickles of indexes name: a function of a module, as methods of compiled classes cannot be pickled."""

from __future__ import annotations

from annkit._core import Index


def index_from_bytes(data: bytes) -> Index:
    """Return the index that these bytes of ``to_bytes`` hold."""
    return Index.from_bytes(data)
