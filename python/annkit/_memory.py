"""What an index takes, from its factory string."""

from __future__ import annotations

import math
import re

from annkit._factory import Metric

_RAW_BYTES = {"Flat": 4, "SQfp16": 2, "SQbf16": 2, "SQ8_direct": 1, "SQ8_direct_signed": 1}
# What a list takes without its rows, and each of its columns, in bytes; room for columns comes in powers of two.
_LIST, _COLUMN = 240, 104
_SLAB = 16 << 20


def memory_of(spec: str, n: int, dim: int, metric: Metric = "l2") -> int:
    """Return what ``index.nbytes`` of n rows, added at once, comes to."""
    if spec.startswith("B"):
        return int(_of_bits(spec, n, dim))
    base, _, finer = spec.replace("RFlat", "Refine(Flat)").partition(",Refine(")
    finer = finer.rstrip(")")
    total = _code(finer, dim, metric, False)[0] * n + _learned(finer, dim) if finer else 0.0
    *words, last = base.split(",")
    for word in words:
        if match := re.fullmatch(r"PCA(\d+)", word):
            narrow = int(match[1])
            total += 4 * dim * (narrow + 16 * math.ceil(narrow / 16)) + 4 * dim + 8 * narrow  # the matrix, twice
            dim = narrow
    lists, half, word = _lists(base), _half_degree(base), "Flat" if last.startswith("HNSW") else last
    row, blocks, columns = _code(word, dim, metric, lists > 0)
    total += row * n + _learned(word, dim)
    if lists:
        # Row numbers; centroids, sixteen a panel, many of them also in bytes, or twice with a graph; about half a block
        # a list is empty.
        in_bytes = lists * (dim + 16) if lists >= 256 and dim >= 16 else 0
        centroids = 8 * lists * dim + _graph(lists, half) if half else 64 * math.ceil(lists / 16) * dim + in_bytes
        total += 4 * n + centroids + lists * (4 + _list(columns) + 18 * blocks)
    elif half:
        total += _graph(n, half)
    return int(total)


def _lists(spec: str) -> int:
    found = re.search(r"IVF(\d+)", spec)
    return int(found[1]) if found else 0


def _half_degree(spec: str) -> int:
    found = re.search(r"HNSW(\d+)", spec)
    return int(found[1]) if found else 0


def _list(columns: int) -> int:
    return _LIST + _COLUMN * (1 << (columns - 1).bit_length())


def _graph(n: int, half: int) -> float:
    """Return the bytes of links: twice `half` a row; one in `half` of each layer's rows is in the next, too."""
    spare = 0.03 * min(1, _SLAB / (8 * half * n))  # the last slab grows by sixteenths, and is seldom full
    return (1 + spare) * n * (8 * half + (4 * half + 8) / max(1, half - 1))


def _of_bits(spec: str, n: int, bits: int) -> float:
    code = math.ceil(bits / 8)
    if lists := _lists(spec):
        graph = _graph(lists, half) if (half := _half_degree(spec)) else 0
        return n * (code + 4) + lists * (code + _list(1)) + graph
    if half := _half_degree(spec):
        return n * code + _graph(n, half)
    if spec.startswith("BMIH"):
        # A table counts the rows of each value; of each row it has a number and a sketch of the other bits.
        width = min(20, max(4, n.bit_length() - 1))
        tables = math.ceil(bits / width)
        widths = [bits // tables + (table < bits % tables) for table in range(tables)]
        return n * (code + 8 * tables) + 4 * (bits + sum((1 << one) + 1 for one in widths))
    return n * code


def _code(word: str, dim: int, metric: Metric, lists: bool) -> tuple[float, float, int]:
    """Return bytes a row, of them those in blocks of 32 rows, and the number of columns."""
    l2 = metric in ("l2", "euclidean")
    if word in _RAW_BYTES:
        return _RAW_BYTES[word] * dim + 4, 0, 2
    if match := re.fullmatch(r"SQ(\d)", word):
        sides = 2 if l2 else 1
        return math.ceil(dim * int(match[1]) / 8) + 4 * sides, 0, 1 + sides
    if match := re.fullmatch(r"PQ(\d+)x4fs(r?)", word):
        code = math.ceil(int(match[1]) / 2)
        side = 4 if match[2] and l2 and lists else 0
        return code + side, code, 1 + side // 4
    if match := re.fullmatch(r"RaBitQ(\d?)", word):
        bits, plane = int(match[1] or 1), math.ceil(dim / 8)
        rest = 4 + (8 if lists else 4) + (bits - 1) * plane if bits > 1 else 0
        return plane + 8 + rest, plane, 3 + (2 if bits > 1 else 0)
    raise ValueError(f'"{word}" has no formula of its memory')


def _learned(word: str, dim: int) -> float:
    """Return the bytes of what a codec has learned."""
    if re.fullmatch(r"SQ\d", word):
        return 20 * dim
    if match := re.fullmatch(r"PQ(\d+)x4fsr?", word):
        return 4 * (16 * dim + dim + 16 * int(match[1])) + int(match[1])  # codebooks; their middles, norms, a byte
    if word.startswith("RaBitQ"):
        padded = 8 * math.ceil(dim / 8)
        part = 1 << (padded.bit_length() - 1)
        return 4 * (dim + 3 * part * (1 if part == padded else 2))  # the mean, and the signs of its rotation
    return 0
