"""Each kernel's rate, at every level of this machine, beside the limit that bounds it, measured in the same run.

taskset -c 0 python bench/kernels.py [--levels avx2,avx512] [--dims 25,96,128,768]

A tile filters pairs, and no hit passes here; a scan scores one query. "of" names the limit: fma counts 2 flop a
dimension and pair, shuffle the 16-byte lanes looked up, one for 16 nibbles and a query, a cache or DRAM the bytes that
are read: of rows, or of Hamming tiles' planes, one bit of a code for two of its bits.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import annkit as ak
from annkit._core import _kernels

ELEMENTS = {"f32": (0, 4), "f16": (1, 2), "bf16": (2, 2), "u8": (3, 1), "i8": (4, 1), "split": (5, 4)}
BITS = -1
CACHES = {"L1": 16 << 10, "L2": 256 << 10, "L3": 8 << 20, "DRAM": 256 << 20}
rng = np.random.default_rng(0)


def seconds(call: Callable[[], Any], least: float = 0.15) -> float:
    """Return the median time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + least
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def limits(level: str) -> dict[str, float]:
    """Return flop, shuffled 16-byte lanes and bytes read a second."""
    nothing = np.zeros((1, 1024), np.uint8)
    rates = {}
    for what, rounds in (("fma", 1_000_000), ("shuffle", 1_000_000)):
        amount = _kernels.probe(level, what, rounds, nothing)
        rates[what] = amount / seconds(lambda w=what, r=rounds: _kernels.probe(level, w, r, nothing))
    for cache, size in CACHES.items():
        data = np.ones((1, size), np.uint8)
        repeats = max(1, (64 << 20) // size)
        taken = seconds(lambda d=data, r=repeats: _kernels.probe(level, "read", r, d), 0.3)
        rates[cache] = repeats * size / taken
    return rates


def as_rows(n: int, width: int) -> np.ndarray:
    """Return rows of so many bytes; small enough as float16 and bfloat16 to stay finite."""
    return rng.integers(0, 60, (n, width), np.uint8)


def tile_rate(level: str, element: int, width: int, dim: int, wide: bool) -> float:
    """Return pairs a second of a tile of rows in the second cache against a full panel."""
    n = max(48, (128 << 10) // max(4 * dim, 1) // 48 * 48) if element != BITS else 2048
    rows = as_rows(n, width)
    floats = element in (0, 1, 2)
    one = np.zeros((1, 4 * dim if floats else width), np.uint8)
    none = [0.0 if element == BITS else float("-inf")] * 64
    mul, add = [-2.0] * n, [0.0] * n
    lanes = int(_kernels.tile(level, element, wide, one, rows, dim, mul, add, none[:1], 1, False)[1])
    queries = np.repeat(one, lanes, axis=0)
    # Packing is done once a call: the difference of two calls leaves the kernel alone.
    few, many = (
        seconds(lambda r=r: _kernels.tile(level, element, wide, queries, rows, dim, mul, add, none, r, False))
        for r in (1, 101)
    )
    return 100 * n * lanes / max(many - few, 1e-9)


def code_rate(level: str, kind: str, shape: str, dim: int, sides: int, most: int = 255) -> float:
    """Return pairs a second of a tile of codes in the second cache, with that many of mul and add, then err."""
    lanes = _kernels.code_lanes(level, kind, shape)
    queries = rng.integers(0, most + 1, (lanes, 16 * dim), np.uint8)
    if kind == "bytes":
        largest = _kernels.byte_query_levels(level)
        queries = rng.integers(-largest, largest + 1, (lanes, dim), np.int8).view(np.uint8)
    n = (128 << 10) // (dim if kind == "bytes" else dim // 2) // 384 * 384 or 384
    codes = rng.integers(0, 256, (n, dim) if kind == "bytes" else (n // 32, 16 * dim), np.uint8)
    settings = np.repeat(np.float32([[-1e9 if sides else -1], [1], [0], [0]]), lanes, axis=1)
    terms = [np.ones(n, np.float32) if i < sides else None for i in range(3)]
    rounds = max(4, 128 // lanes)
    # The rest of a call, which packs, too, is the same however often the tile runs.
    few, many = (
        seconds(lambda r=r: _kernels.code_tile(level, kind, shape, queries, codes, dim, n, settings, terms, 4096, r))
        for r in (1, 1 + rounds)
    )
    return rounds * n * lanes / max(many - few, 1e-9)


def code_rates(level: str, dims: list[int], most: dict[str, float]) -> None:
    """Print the tiles of codes of a level: bytes, and nibbles with tables of which 1, 2 or 4 look-ups fit a byte."""
    for shape in ("wide", "narrow", "single"):
        for dim in dims:
            rate = code_rate(level, "bytes", shape, dim, 3)
            line(f"codes of bytes d={dim} {shape}", rate, "pairs/s", 2 * dim * rate / most["fma"], "fma")
        for dim in (32, 64, 256):
            for largest, sides in ((255, 0), (127, 0), (63, 0), (63, 2), (63, 3)):
                rate = code_rate(level, "nibbles", shape, dim, sides, largest)
                terms = ("", "", "with mul, add", "with mul, add, err")[sides]
                name = f"codes of {dim} nibbles up to {largest} {shape} {terms}".rstrip()
                line(name, rate, "pairs/s", dim / 16 * rate / most["shuffle"], "shuffle")
    for dim in dims:
        rate = run_rate(level, dim)
        line(f"codes of bytes d={dim}, a run", rate, "rows/s", 2 * dim * rate / most["fma"], "fma")
    for m in (16, 32, 64):
        rate = entry_rate(level, m)
        line(f"sums of {m} entries of scattered nibbles", rate, "rows/s", 1.25 * m * rate / most["shuffle"], "shuffle")


def run_rate(level: str, dim: int) -> float:
    """Return rows a second, in the first cache, against one query."""
    rows = as_rows(max(8, (16 << 10) // dim), (dim + 3) // 4 * 4)
    add = np.zeros(len(rows), np.float32)
    few, many = (seconds(lambda r=r: _kernels.byte_run(level, [1] * dim, rows, 0, 1, add, r)) for r in (1, 101))
    return 100 * len(rows) / max(many - few, 1e-9)


def entry_rate(level: str, m: int) -> float:
    """Return rows a second that get the sum of the entries of their nibbles, scattered in the first cache."""
    tables = rng.standard_normal((m, 16)).astype(np.float32)
    blocks = rng.integers(0, 256, (max(1, 1024 // m), 16 * m), np.uint8)
    rows = rng.integers(0, 32 * len(blocks), 1024).tolist()
    few, many = (seconds(lambda r=r: _kernels.sum_nibbles(level, tables, blocks, rows, r)) for r in (1, 101))
    return 100 * len(rows) / max(many - few, 1e-9)


def nearest_rate(level: str, of_bytes: bool, dim: int, n: int) -> float | None:
    """Return pairs a second of a full panel against n rows; None where the level has no such kernel."""
    width = dim if of_bytes else 4 * dim
    rows, mul, add = as_rows(n, width), [-2.0] * n, [0.0] * n
    best, _, lanes = _kernels.nearest(level, of_bytes, rows[:1], rows, dim, mul, add, n, 1)
    if best is None:
        return None
    queries = np.zeros((int(lanes), width), np.uint8)
    few, many = (
        seconds(lambda r=r: _kernels.nearest(level, of_bytes, queries, rows, dim, mul, add, n, r)) for r in (1, 101)
    )
    return 100 * n * int(lanes) / max(many - few, 1e-9)


def scan_rate(level: str, metric: str, element: int, query: int, width: int, dim: int, size: int) -> float:
    """Return bytes a second of scans of one query over rows that lie side by side."""
    rows, one = as_rows(max(8, size // width), width), np.zeros((1, query), np.uint8)
    # In parts, so that the scores stay in cache, as an index has them.
    parts = [rows[i : i + (1 << 15)] for i in range(0, len(rows), 1 << 15)]

    def scan() -> None:
        for part in parts:
            _kernels.scan_rows(level, metric, max(element, 0), one, part, dim)

    return rows.size / seconds(scan)


def line(name: str, rate: float, unit: str, share: float, limit: str) -> None:
    """Print a kernel's rate and its share of the limit."""
    scale, prefix = (1e9, "G") if rate >= 1e9 else (1e6, "M")
    print(f"  {name:52} {rate / scale:8.2f} {prefix}{unit:9} {100 * share:5.0f} % of {limit}", flush=True)


def level_rates(level: str, dims: list[int]) -> None:
    """Print every kernel of a level."""
    most = limits(level)
    reads = "  ".join(f"{cache} {most[cache] / 1e9:.0f}" for cache in CACHES)
    flop, lanes = most["fma"] / 1e9, most["shuffle"] / 1e9
    print(f"\n{level}: {flop:.0f} GFLOP/s, {lanes:.1f} G shuffled lanes/s, reads {reads} GB/s")
    for name, (element, size) in ELEMENTS.items():
        for dim in dims:
            for wide in (True, False):
                rate = tile_rate(level, element, dim * size, dim, wide)
                shape = "wide" if wide else "narrow"
                line(f"tile {name} d={dim} {shape}", rate, "pairs/s", 2 * dim * rate / most["fma"], "fma")
    code_rates(level, dims, most)

    for of_bytes, name in ((False, "f32"), (True, "i8")):
        for dim in (4, *dims):
            best = nearest_rate(level, of_bytes, dim, 256)
            if best is not None:
                line(f"nearest of 256 {name} d={dim}", best, "pairs/s", 2 * dim * best / most["fma"], "fma")
    for bits in (64, 128, 256, 512, 1024):
        rate = tile_rate(level, BITS, bits // 8, bits // 8, True)
        line(f"tile {bits} bit", rate, "pairs/s", bits / 16 * rate / most["L2"], "L2")
    for cache in ("L2", "DRAM"):
        for name, (element, size) in ELEMENTS.items():
            for dim in dims:
                query = dim * size if name in ("u8", "i8") else 4 * dim
                rate = scan_rate(level, "l2", element, query, dim * size, dim, CACHES[cache])
                line(f"scan {name} d={dim}, rows in {cache}", rate, "B/s", rate / most[cache], cache)
        for bits in (64, 256, 1024):
            rate = scan_rate(level, "hamming", BITS, bits // 8, bits // 8, bits // 8, CACHES[cache])
            line(f"scan {bits} bit, codes in {cache}", rate, "B/s", rate / most[cache], cache)
        for dim in dims:
            codes = as_rows(CACHES[cache] // dim, dim)
            rows = np.ones((len(codes), 4), np.float32)
            query, settings = [1] * dim, [1.0] * 7
            taken = seconds(lambda c=codes, r=rows, q=query, s=settings: _kernels.sq8_lower(level, q, c, r, s))
            rate = (codes.size + rows.nbytes) / taken
            line(f"bounds of sketches d={dim}, in {cache}", rate, "B/s", rate / most[cache], cache)


def main() -> None:
    """Print the rates of the levels asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default=",".join(ak.simd.levels()), help="levels, by default all of this machine")
    parser.add_argument("--dims", default="128,768", help="dimensions of float and byte rows")
    given = parser.parse_args()
    for level in given.levels.split(","):
        level_rates(level, [int(dim) for dim in given.dims.split(",")])


if __name__ == "__main__":
    main()
