"""The tiles of every level, queries against rows or codes, against NumPy."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from kernel_rows import EDGES, ELEMENTS, FEW_DIMS, UNIT, as_bytes, before_nothing, rows_of, unaligned
from truth import hamming

from annkit._core import _kernels as kernels


def run_tile(level, element, wide, q, x, dim, mul, add, bounds, in_place=False):
    """Return {(row, lane): score} of a tile's hits."""
    number = -1 if element == "bits" else ELEMENTS.index(element)
    hits, lanes = kernels.tile(level, number, wide, as_bytes(q), as_bytes(x), dim, mul, add, bounds, 1, in_place)
    found = {(row, lane): score for score, row, lane in hits}
    assert len(found) == len(hits)
    return found, lanes


def lanes_of(level, element, wide):
    one = np.zeros((1, 1), np.float32 if element in ("f32", "f16", "bf16") else np.uint8)
    return run_tile(level, element, wide, one, np.zeros((1, 1), np.uint8).repeat(4, 1), 1, [1.0], [0.0], [0.0])[1]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("element", ELEMENTS)
def test_tiles_report_the_pairs_within_the_bound(rng, level, element, wide):
    lanes = lanes_of(level, element, wide)
    for dim in FEW_DIMS:
        for n, nq in ((1, 1), (53, lanes), (200, max(lanes - 1, 1))):
            x, values = rows_of(rng, element, n, dim, edges=n == 53)
            q, queries = rows_of(rng, element if element in EDGES else "f32", nq, dim, edges=n == 53)
            mul, add = np.full(n, -2, np.float32), (values**2).sum(axis=1).astype(np.float32)
            wanted = add[:, None].astype(np.float64) - 2 * values @ queries.T
            error = (dim + 8) * UNIT * (np.abs(add[:, None]) + 2 * np.abs(values) @ np.abs(queries).T)
            bounds = np.quantile(wanted, 0.3, axis=0).astype(np.float32)
            for in_place in {False, element == "f32"}:
                found, _ = run_tile(level, element, wide, q, x, dim, mul, add, bounds, in_place)
                for row in range(n):
                    for lane in range(nq):
                        score = found.get((row, lane))
                        assert score is None or abs(score - wanted[row, lane]) <= error[row, lane]
                        assert score is not None or wanted[row, lane] > bounds[lane] - error[row, lane]
                        assert score is None or wanted[row, lane] <= bounds[lane] + error[row, lane]
                assert all(row < n and lane < nq for row, lane in found)


@pytest.mark.parametrize("wide", [True, False])
def test_hamming_tiles_report_the_pairs_within_the_bound(rng, level, wide):
    lanes = lanes_of(level, "bits", wide)
    for width in [*range(1, 18), 24, 31, 32, 33, 40, 64, 65, 128]:
        n, nq = (600, lanes) if width in (1, 8, 32) else (77, 5)
        codes = rng.integers(0, 256, (n, width)).astype(np.uint8)
        queries = rng.integers(0, 256, (min(nq, lanes), width)).astype(np.uint8)
        codes[0], codes[1], queries[0] = 0, 255, 0
        table = hamming(queries, codes)
        # each lane has a bound of its own; one beyond all distances, one below all
        bounds = np.quantile(table, 0.2, axis=1).round().astype(np.float32)
        bounds[0] = 8 * width
        if len(bounds) > 1:
            bounds[1] = -1
        found, _ = run_tile(level, "bits", wide, queries, codes, width, [], [], bounds)
        lane, row = np.nonzero(table <= bounds[:, None])
        assert found == {(int(r), int(q)): float(table[q, r]) for q, r in zip(lane, row, strict=True)}


SHAPES = ["wide", "narrow", "single"]


def code_rows(rng, kind, n, dim):
    """Return codes as the kernel takes them, in memory that ends with them, and as a table of integers."""
    if kind == "bytes":
        codes = rng.choice([0, 255], (n, dim)) if n == 53 else rng.integers(0, 256, (n, dim))
        stored = np.zeros((n, (dim + 3) // 4 * 4), np.uint8)
        stored[:, :dim] = codes
        return stored, codes
    if kind == "tables":
        codes = rng.integers(0, 256, (n, dim)).astype(np.uint8)
        return codes, codes
    codes = rng.integers(0, 16, (n, dim))
    whole = np.full((-(-n // 32) * 32, dim), 15)  # rows that do not exist must not be reported
    whole[:n] = codes
    halves = whole.reshape(-1, 2, 16, dim)
    return np.ascontiguousarray((halves[:, 0] | halves[:, 1] << 4).transpose(0, 2, 1)).astype(np.uint8).reshape(
        len(halves), -1
    ), codes


def code_queries(rng, level, kind, nq, dim, most=255):
    """Return queries as the kernel takes them, and what they make of a table of codes: (n, nq) integers."""
    if kind == "bytes":
        most = kernels.byte_query_levels(level)
        queries = rng.integers(-most, most + 1, (nq, dim)).astype(np.int8)
        queries[0] = most if nq % 2 else -most
        return queries, lambda codes: codes @ queries.T.astype(np.int64)
    tables = rng.integers(0, most + 1, (nq, dim, 256 if kind == "tables" else 16)).astype(np.uint8)
    tables[0] = most
    at = np.arange(dim)
    return tables.reshape(nq, -1), lambda codes: np.stack([t[at, codes].sum(axis=1) for t in tables.astype(int)], 1)


def check_code_tile(
    rng, level, kind, shape, n, nq, dim, sided=True, err=True, capacity=2048, place=unaligned, **of_queries
):
    """Check the hits of a tile of codes, some of whose lanes have a NaN for a bound, against NumPy."""
    stored, codes = code_rows(rng, kind, n, dim)
    queries, dots_of = code_queries(rng, level, kind, nq, dim, **of_queries)
    dots = dots_of(codes)
    mul, add, row_err = (rng.uniform(*r, n).astype(np.float32) for r in ((-2, 2), (-9, 9), (0, 1)))
    scales, offsets, errors = (rng.uniform(*r, nq).astype(np.float32) for r in ((0.01, 1), (-9, 9), (-1, 0)))
    terms = [scales * dots.astype(np.float64), np.broadcast_to(offsets, dots.shape)]
    if sided:
        terms = [mul[:, None] * term for term in terms] + [np.broadcast_to(add[:, None], dots.shape)]
    if err:
        terms.append(row_err[:, None] * errors)
    wanted, slack = sum(terms), 8 * UNIT * sum(np.abs(term) for term in terms)
    bounds = np.quantile(wanted, rng.choice([0, 0.1, 0.5, 1], nq), axis=0).diagonal().astype(np.float32)
    bounds[rng.random(nq) < 0.2] = np.nan
    bounds[:1], bounds[1:2] = np.inf, -np.inf
    sides = [mul if sided else None, add if sided else None, row_err if err else None]
    given = as_bytes(queries), place(stored), dim, n, np.stack([bounds, scales, offsets, errors]), sides
    scores, pairs, calls = kernels.code_tile(level, kind, shape, *given, capacity, 1, far=n % 2 == 1)
    row, lane = pairs.reshape(-1, 2).T
    assert len(set(zip(row.tolist(), lane.tolist(), strict=True))) == len(row)
    assert (np.abs(scores - wanted[row, lane]) <= slack[row, lane]).all()
    assert (scores <= bounds[lane]).all()
    missed = wanted <= bounds - slack
    missed[row, lane] = False
    assert not missed.any()
    if shape == "single":
        everything = kernels.code_scores(level, kind, *given).reshape(nq, n).T
        assert (np.abs(everything - wanted) <= slack).all()
        assert (everything[row, lane] == scores).all()
    return calls


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["bytes", "nibbles"])
def test_tiles_of_codes_report_the_pairs_within_the_bound(rng, level, kind, shape):
    lanes = kernels.code_lanes(level, kind, shape)
    for dim in [*range(1, 40), 62, 64, 66, 100, 128, 129, 200, 258, 768, 1030]:
        if kind == "nibbles" and dim % 2:
            continue
        for n, nq in ((1, 1), (31, lanes), (53, max(1, lanes - 1)), (96, min(lanes, 3)), (129, min(lanes, 2))):
            most = {"most": min(255, 65535 // dim)} if kind == "nibbles" else {}
            check_code_tile(rng, level, kind, shape, n, nq, dim, err=n != 53, **most)
            if kind == "nibbles":
                for most in (7, 31, 32, 63, 64, 127, 128):
                    if most * dim < 65536:
                        check_code_tile(rng, level, kind, shape, n, nq, dim, sided=False, err=False, most=most)


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_of_byte_tables_report_the_pairs_within_the_bound(rng, level, shape):
    lanes = kernels.code_lanes(level, "tables", shape)
    if lanes == 0:
        pytest.skip("this level has no such tile")
    for dim in (1, 2, 8, 15, 16, 17, 48, 100, 255, 256):
        for n, nq in ((1, 1), (31, lanes), (64, lanes), (65, min(lanes, 3)), (129, lanes), (257, min(lanes, 2))):
            check_code_tile(rng, level, "tables", shape, n, nq, dim, err=n != 65)
            check_code_tile(rng, level, "tables", shape, n, nq, dim, sided=False, err=False)
            if sys.platform == "linux":
                check_code_tile(rng, level, "tables", shape, n, nq, dim, place=before_nothing)
    assert check_code_tile(rng, level, "tables", shape, 3001, lanes, 6, capacity=2048) > 1


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect as Linux has it")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["bytes", "nibbles"])
def test_tiles_of_codes_read_nothing_behind_the_last_row(rng, level, kind, shape):
    lanes = kernels.code_lanes(level, kind, shape)
    for dim in (2, 4, 6, 12, 30, 34, 66, 130):
        for n in (1, 5, 13, 33, 100):
            check_code_tile(rng, level, kind, shape, n, lanes, dim, place=before_nothing)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["bytes", "nibbles"])
def test_tiles_of_codes_are_exact_at_the_extremes(rng, level, kind, shape):
    lanes = kernels.code_lanes(level, kind, shape)
    for dim, n in ((256, 70), (4096, 53)):
        if kind == "bytes":
            most = kernels.byte_query_levels(level)
            queries, stored = np.full((lanes, dim), -most, np.int8), np.full((n, dim), 255, np.uint8)
            wanted = -255.0 * most * dim
        else:
            most = 65535 // dim
            queries, stored = np.full((lanes, dim * 16), most, np.uint8), np.zeros((-(-n // 32), dim * 16), np.uint8)
            wanted = float(most * dim)
        bounds = np.full(lanes, wanted)
        bounds[1::2] = np.nextafter(np.float32(wanted), np.float32(-np.inf))
        settings = np.stack([bounds, np.ones(lanes), np.zeros(lanes), np.zeros(lanes)]).astype(np.float32)
        sides = [np.ones(n, np.float32), np.zeros(n, np.float32), None]
        for of_rows in [sides] if kind == "bytes" else [sides, [None] * 3]:
            scores, pairs, _ = kernels.code_tile(
                level, kind, shape, as_bytes(queries), as_bytes(stored), dim, n, settings, of_rows, 4096, 1
            )
            assert (scores == wanted).all()
            assert {(r, lane) for r, lane in pairs.reshape(-1, 2).tolist()} == {
                (r, lane) for r in range(n) for lane in range(0, lanes, 2)
            }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["bytes", "nibbles"])
def test_tiles_of_codes_resume_where_their_hits_were_full(rng, level, kind, shape):
    lanes = kernels.code_lanes(level, kind, shape)
    for n in (3000, 3001):
        calls = check_code_tile(rng, level, kind, shape, n, lanes, 6, capacity=2048)
        assert calls > 1
        assert check_code_tile(rng, level, kind, shape, n, lanes, 6, capacity=3100 * lanes) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_of_nibbles_tell_all_sums_and_which_rows_may_be_within_the_bound(rng, level, shape):
    """Scales and offsets are powers of two: whether a row is within is not a matter of rounding."""
    lanes = kernels.code_lanes(level, "nibbles", shape)
    for dim in (2, 8, 14, 32, 50, 66, 130, 258):
        for n, nq in ((1, 1), (31, lanes), (64, lanes), (65, max(lanes - 1, 1)), (97, lanes), (500, lanes)):
            stored, codes = code_rows(rng, "nibbles", n, dim)
            most = rng.choice([15, min(255, 65535 // dim)])
            queries, dots_of = code_queries(rng, level, "nibbles", nq, dim, most=most)
            dots = dots_of(codes)
            bounds = (2 * np.quantile(dots, rng.random(nq), axis=0).diagonal().round() + 4).astype(np.float32)
            bounds[0] = np.inf
            terms = np.stack([bounds, np.full(nq, 2, np.float32), np.full(nq, 4, np.float32), np.zeros(nq, np.float32)])
            got = kernels.code_rows(level, shape, as_bytes(queries), unaligned(stored), dim, n, terms)
            if got is None:
                pytest.skip("the level has no such tile")
            sums, near = (x.reshape(nq, -1) for x in got)
            np.testing.assert_array_equal(sums[:, :n].T, dots)
            bits = np.unpackbits(near.view(np.uint8), axis=1, bitorder="little")
            np.testing.assert_array_equal(bits[:, :n].T, 2 * dots + 4 <= bounds)
            assert not bits[:, n:].any()
