"""Rows and queries as the kernels take them."""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from truth import from_bf16, in_halves, to_bf16

ELEMENTS = ["f32", "f16", "bf16", "u8", "i8", "split"]
FEW_DIMS = [1, 3, 8, 15, 16, 17, 31, 33, 64, 67, 100, 784, 1536]
UNIT = 2.0**-24
EDGES = {"u8": (0, 255), "i8": (-128, 127)}


def rows_of(rng, element, n, dim, edges=False):
    """Return rows as the kernel takes them and their values in float64."""
    if element in EDGES:
        low, high = EDGES[element]
        dtype = np.uint8 if element == "u8" else np.int8
        x = rng.choice([low, high], (n, dim)) if edges else rng.integers(low, high + 1, (n, dim))
        return x.astype(dtype), x.astype(np.float64)
    x = (rng.standard_normal((n, dim)) * 3).astype(np.float32)
    if element == "f32":
        return x, x.astype(np.float64)
    if element == "split":
        return in_halves(x), x.astype(np.float64)
    bits = to_bf16(x) if element == "bf16" else x.astype(np.float16).view(np.uint16)
    return bits, (from_bf16(bits) if element == "bf16" else bits.view(np.float16)).astype(np.float64)


def before_nothing(rows):
    """Return rows as bytes behind which lies a page that cannot be read."""
    return beside_nothing(rows, last=True)


def after_nothing(rows):
    """Return rows as bytes before which lies a page that cannot be read."""
    return beside_nothing(rows, last=False)


def beside_nothing(rows, last):
    raw, page = np.ascontiguousarray(rows).view(np.uint8), mmap.PAGESIZE
    readable = -(-raw.size // page) * page
    room = np.frombuffer(mmap.mmap(-1, readable + page), np.uint8)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    nothing = room.ctypes.data + (readable if last else 0)
    assert protect(ctypes.c_void_p(nothing), ctypes.c_size_t(page), 0) == 0
    first = readable - raw.size if last else page
    out = room[first : first + raw.size].reshape(raw.shape)
    out[...] = raw
    return out


def as_bytes(rows, offset=0):
    """Return rows as bytes whose base lies `offset` bytes behind an aligned address."""
    raw = np.ascontiguousarray(rows).view(np.uint8)
    room = np.empty(raw.size + 64 + offset, np.uint8)
    first = -room.ctypes.data % 64 + offset
    out = room[first : first + raw.size].reshape(raw.shape)
    out[...] = raw
    return out


def query_of(rng, element, dim):
    """Return a query: float32 for float elements, of the rows' own type for bytes."""
    query, values = rows_of(rng, element if element in EDGES else "f32", 1, dim)
    return query, values[0]


def unaligned(rows):
    return as_bytes(rows, 4)
