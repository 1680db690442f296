"""Every kernel of every level against NumPy: integers exactly, floats within the error of their sums."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np
import pytest
from truth import from_bf16, hamming, to_bf16

import annkit as ak
from annkit._core import _kernels as kernels

ELEMENTS = ["f32", "f16", "bf16", "u8", "i8"]
DIMS = [*range(1, 68), 96, 100, 128, 200, 384, 768, 784, 960, 1536]
FEW_DIMS = [1, 3, 8, 15, 16, 17, 31, 33, 64, 67, 100, 784, 1536]
WIDTHS = [*range(1, 41), 47, 64, 65, 100, 128, 129, 256]
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
    bits = to_bf16(x) if element == "bf16" else x.astype(np.float16).view(np.uint16)
    return bits, (from_bf16(bits) if element == "bf16" else bits.view(np.float16)).astype(np.float64)


def before_nothing(rows):
    """Return rows as bytes behind which lies a page that cannot be read."""
    raw, page = np.ascontiguousarray(rows).view(np.uint8), mmap.PAGESIZE
    room = mmap.mmap(-1, (raw.size + page - 1) // page * page + page)
    out = np.frombuffer(room, np.uint8)
    end = len(room) - page
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    assert protect(ctypes.c_void_p(out.ctypes.data + end), ctypes.c_size_t(page), 0) == 0
    out = out[end - raw.size : end].reshape(raw.shape)
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


def scores_of(query, rows, metric):
    """Return scores (smaller is nearer) and how far float32 sums may be off."""
    terms = (rows - query) ** 2 if metric == "l2" else -rows * query
    return terms.sum(axis=1), (rows.shape[1] + 8) * UNIT * np.abs(terms).sum(axis=1)


def check_scores(got, query, rows, metric, element):
    wanted, error = scores_of(query, rows, metric)
    if element in EDGES:
        np.testing.assert_array_equal(got, wanted.astype(np.float32))
    else:
        assert (np.abs(got - wanted) <= error).all()


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("call", [kernels.score_rows, kernels.scan_rows])
def test_rows_score_as_numpy_says(rng, level, metric, element, call):
    more = (1,) if call is kernels.score_rows else ()
    for dim in DIMS:
        x, values = rows_of(rng, element, 7, dim)
        q, query = query_of(rng, element, dim)
        for n in (1, 3, 7):
            got = call(level, metric, ELEMENTS.index(element), as_bytes(q), as_bytes(x[:n]), dim, *more)
            check_scores(got, query, values[:n], metric, element)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_a_score_depends_on_the_row_alone(rng, level, metric, element):
    """Not on its place, on the rows beside it, on alignment, or on the kernel that computes it."""
    step = {"f32": 4, "u8": 1, "i8": 1}.get(element, 2)
    for dim in FEW_DIMS:
        x, _ = rows_of(rng, element, 9, dim)
        q, _ = query_of(rng, element, dim)
        number = ELEMENTS.index(element)
        one = [kernels.score_rows(level, metric, number, as_bytes(q), as_bytes(row[None]), dim, 1)[0] for row in x]
        for offset in (0, step, 3 * step):
            bases = as_bytes(q, 4 * offset if element not in EDGES else offset), as_bytes(x, offset)
            np.testing.assert_array_equal(kernels.score_rows(level, metric, number, *bases, dim, 1), one)
            np.testing.assert_array_equal(kernels.scan_rows(level, metric, number, *bases, dim), one)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("element", ["u8", "i8"])
def test_extreme_bytes_do_not_saturate(rng, level, metric, element):
    dtype = np.uint8 if element == "u8" else np.int8
    for dim in [*FEW_DIMS, 4096, 40000]:
        extremes = np.array([[edge] * dim for edge in EDGES[element]], dtype)
        x = np.concatenate([extremes, rows_of(rng, element, 3, dim, edges=True)[0]])
        for q in extremes:
            values = x.astype(np.float64)
            for call, more in ((kernels.score_rows, (1,)), (kernels.scan_rows, ())):
                got = call(level, metric, ELEMENTS.index(element), as_bytes(q[None]), as_bytes(x), dim, *more)
                check_scores(got, q.astype(np.float64), values, metric, element)


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


def unaligned(rows):
    return as_bytes(rows, 4)


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
    scores, pairs, calls = kernels.code_tile(
        level, kind, shape, as_bytes(queries), place(stored), dim, n, np.stack([bounds, scales, offsets, errors]),
        sides, capacity, 1
    )  # fmt: skip
    row, lane = pairs.reshape(-1, 2).T
    assert len(set(zip(row.tolist(), lane.tolist(), strict=True))) == len(row)
    assert (np.abs(scores - wanted[row, lane]) <= slack[row, lane]).all()
    assert (scores <= bounds[lane]).all()
    missed = wanted <= bounds - slack
    missed[row, lane] = False
    assert not missed.any()
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


def test_hamming_rows_are_exact(rng, level):
    for width in WIDTHS:
        codes = rng.integers(0, 256, (37, width)).astype(np.uint8)
        codes[0], codes[1] = 0, 255
        for query in (codes[:1], codes[1:2], codes[5:6] ^ 129):
            wanted = hamming(query, codes)[0]
            for offset in (0, 1, 3):
                q, c = as_bytes(query, offset), as_bytes(codes, offset)
                for n in (1, 4, 37):
                    got = kernels.score_rows(level, "hamming", 0, q, c[:n], width, 1)
                    np.testing.assert_array_equal(got, wanted[:n])
                    np.testing.assert_array_equal(kernels.hamming_scan(level, q, c[:n]), wanted[:n])


def test_bounds_of_sketches_follow_their_formula(rng, level):
    for dim in FEW_DIMS:
        codes = rng.integers(0, 256, (13, dim)).astype(np.uint8)
        codes[0], codes[1] = 0, 255
        rows = rng.uniform(0.1, 2, (13, 4)).astype(np.float32)
        levels = min(32767, (2**31 - 1) // 255 // dim)
        query = rng.integers(-levels, levels + 1, dim)
        query[: dim // 2] = levels
        scale, total, norm, mul, add, norm_weight, slack = settings = [1e-3, 2.5, 3.0, -2.0, 1.5, 1.0, 0.25]
        dot = codes.astype(np.float64) @ query
        estimate = rows[:, 0] * scale * dot + rows[:, 1] * total
        wanted = mul * (estimate + rows[:, 2] * norm + slack) + add + norm_weight * rows[:, 3]
        got = kernels.sq8_lower(level, query.tolist(), as_bytes(codes), rows, settings)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * (1 + np.abs(2 * estimate).max()))


def test_select_finds_scores_within_the_bound(rng, level):
    for n in (0, 1, 7, 8, 15, 16, 17, 33, 100, 1024):
        scores = rng.integers(-3, 4, n).astype(np.float32)
        scores[: n // 10] = np.nan
        for bound in (-4, -1, 0, 3, np.inf, -np.inf):
            got = kernels.select(level, scores.tolist(), bound)
            np.testing.assert_array_equal(got, np.flatnonzero(scores <= bound))


def test_every_half_widens_exactly(level):
    every = np.arange(65536, dtype=np.uint16)
    for kind, wanted in enumerate((every.view(np.float16).astype(np.float32), from_bf16(every))):
        got = kernels.widen(level, kind, every.tolist())
        np.testing.assert_array_equal(got, wanted)
        kept = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(wanted[kept]))


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_floats_narrow_to_the_nearest_even_half(rng, level, kind):
    every = np.arange(65536, dtype=np.uint16)
    finite = every.view(np.float16).astype(np.float32) if kind == "f16" else from_bf16(every)
    finite = np.sort(finite[np.isfinite(finite)])
    middles = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)  # exact: ties
    random = rng.integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        beside = np.concatenate([np.nextafter(middles, np.float32(np.inf)), np.nextafter(middles, np.float32(-np.inf))])
        x = np.concatenate([finite, middles, beside, random[np.isfinite(random)], [np.inf, -np.inf]]).astype(np.float32)
        wanted = x.astype(np.float16).view(np.uint16) if kind == "f16" else to_bf16(x)
    np.testing.assert_array_equal(kernels.narrow(level, ["f16", "bf16"].index(kind), x.tolist()), wanted)


def test_the_level_in_use_is_one_that_this_machine_has():
    assert ak.simd.level() in ak.simd.levels()
    assert ak.simd.levels()[0] == "scalar"


def test_rounding_to_bytes_misses_what_it_says(rng, level):
    for dim in (*range(1, 50), 100, 128, 784):
        x = (rng.standard_normal(dim) * 10.0 ** rng.integers(-6, 7)).astype(np.float32)
        center = (rng.standard_normal(dim) * rng.choice([0, 1, 100])).astype(np.float32)
        y = (x - center).astype(np.float64)
        chosen = np.abs(y).max() / 127
        for given in (0.0, 3 * chosen):
            codes, scale, error2, norm2 = kernels.to_i8(level, x.tolist(), center.tolist(), given)
            assert scale == pytest.approx(given or chosen, rel=1e-6)
            miss = y - np.float64(np.float32(scale)) * codes
            assert np.abs(miss).max() <= scale * (0.5 + 1e-4)
            assert np.abs(codes).max() <= 127
            assert error2 == pytest.approx((miss**2).sum(), rel=1e-4, abs=1e-10 * scale**2)
            assert norm2 == pytest.approx((y**2).sum(), rel=1e-4)
    codes, scale, *_ = kernels.to_i8(level, [1e-12] * 40, [0.0] * 40, 0.0)
    assert scale == 0
    assert not codes.any()


def nearest_of(level, of_bytes, queries, rows, mul, add, split):
    """Return the smallest score of each query and the first row that has it; None where the level lacks the kernel."""
    best, at, _ = kernels.nearest(
        level, of_bytes, as_bytes(queries), as_bytes(rows), rows.shape[1], list(mul), list(add), split, 1
    )
    return best, at


@pytest.mark.parametrize("of_bytes", [False, True])
def test_nearest_rows_of_integers_are_exact(rng, level, of_bytes):
    """Few values, so that many rows tie: the lowest number wins, also across calls."""
    dtype = np.int8 if of_bytes else np.float32
    empty = np.zeros((1, 4), np.uint8)
    lanes = kernels.nearest(level, of_bytes, empty, empty, 1, [1.0], [0.0], 0, 1)[2]
    for dim in (1, 2, 3, 4, 7, 16, 33, 128, 200):
        for n in (1, 2, 3, 5, 12, 13, 17, 40, 101):
            queries, rows = rng.integers(-3, 4, (lanes - n % 5, dim)), rng.integers(-3, 4, (n, dim))
            add, mul = (rows**2).sum(axis=1), rng.choice([1, 2, 4], n)
            scores = add - 2 * mul * (queries @ rows.T)
            scaled = rows if of_bytes else -2 * mul[:, None] * rows
            best, at = nearest_of(level, of_bytes, queries.astype(dtype), scaled.astype(dtype), -2.0 * mul, add, n // 3)
            if best is None:
                pytest.skip("the level has no such kernel")
            np.testing.assert_array_equal(at, scores.argmin(axis=1))
            np.testing.assert_array_equal(best, scores.min(axis=1))


def test_nearest_scores_are_one_chain_of_operations(rng, level):
    """The same whatever the lane, the place of the row, and the split into calls."""
    rows = rng.standard_normal((100, 37)).astype(np.float32)
    add = rng.standard_normal(100).astype(np.float32)
    query = rng.standard_normal((1, 37)).astype(np.float32)
    best, at = nearest_of(level, False, query, rows, add, add, 0)
    for lane, row, split in ((0, 0, 0), (3, 13, 40), (7, 99, 100)):
        queries = rng.standard_normal((8, 37)).astype(np.float32)
        queries[lane] = query
        order = np.roll(np.arange(100), row - int(at[0]))
        again, where = nearest_of(level, False, queries, rows[order], add, add[order], split)
        assert again[lane] == best[0]
        assert where[lane] == row


@pytest.mark.parametrize("dim", [8, 16, 24, 104, 128, 200, 784])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_levels_in_planes_of_bits(rng, level, dim, count):
    values = rng.integers(0, 1 << count, dim)
    query = rng.standard_normal(dim).astype(np.float32)
    planes = [np.packbits(values >> p & 1, bitorder="little") for p in (count - 1, *range(count - 1))]
    wanted = query.astype(np.float64) @ (values - ((1 << count) - 1) / 2)
    got = kernels.plane_dot(level, query.tolist(), np.stack(planes))
    assert abs(got - wanted) < 1e-6 * (1 << count) * np.abs(query).sum()


def test_minima_of_blocks_are_exact(rng, level):
    for dim in (1, 5, 64, 129):
        for blocks in (1, 2, 9):
            queries, rows = rng.integers(-9, 10, (32, dim)), rng.integers(-9, 10, (12 * blocks, dim))
            add, mul = rng.integers(0, 9, 12 * blocks).astype(float), rng.choice([-1.0, -2.0], 12 * blocks)
            scores = (add + mul * (queries @ rows.T)).reshape(32, blocks, 12).min(axis=2)
            i8 = queries.astype(np.int8), rows.astype(np.int8)
            got, at = kernels.minima(level, as_bytes(i8[0]), as_bytes(i8[1]), list(mul), list(add))
            if got is None:
                pytest.skip("the level has no such kernel")
            np.testing.assert_array_equal(got, scores.T)
            np.testing.assert_array_equal(at, scores.argmin(axis=1))


@pytest.mark.parametrize("dim", [1, 2, 5, 16, 33, 100, 384])
def test_products(rng, level, dim):
    """Integers, whose products are exact in any order; and the same bits for a row alone."""
    for outputs in (1, 3, 4, 15, 16, 17, 33, 48, 130):
        rows = rng.integers(-50, 50, (29, dim)).astype(np.float32)
        matrix = rng.integers(-50, 50, (outputs, dim)).astype(np.float32)
        for n in (1, 2, 3, 6, 11, 12, 13, 29):
            np.testing.assert_array_equal(kernels.product(level, rows[:n], matrix), rows[:n] @ matrix.T)
        rows, matrix = (rng.standard_normal(a.shape).astype(np.float32) for a in (rows, matrix))
        whole = kernels.product(level, rows, matrix)
        np.testing.assert_array_equal(np.concatenate([kernels.product(level, r[None], matrix) for r in rows]), whole)


@pytest.mark.parametrize("steps", range(12))
def test_hadamard_transform(rng, level, steps):
    linalg = pytest.importorskip("scipy.linalg")
    x = rng.integers(-50, 50, 1 << steps).astype(np.float32)
    np.testing.assert_array_equal(kernels.hadamard(level, x.tolist()), linalg.hadamard(1 << steps) @ x)


@pytest.mark.parametrize("nibbles", [False, True])
@pytest.mark.parametrize("size", [1, 4, 31, 32, 60, 64, 68, 100, 128, 392, 4096])
def test_dots_of_scattered_codes_are_exact(rng, level, nibbles, size):
    levels = kernels.byte_query_levels(level)
    for n in (1, 2, 3, 4, 5, 32):
        for extreme in (False, True):
            rows = rng.integers(0, 256, (n, size), np.uint8)
            query = rng.integers(-levels, levels + 1, 2 * size).astype(np.int8)
            if extreme:
                rows[:], query[:] = 255, levels if n % 2 else -levels
            codes = np.concatenate([rows & 15, rows >> 4], axis=1) if nibbles else rows
            wanted = codes.astype(np.int64) @ query[: codes.shape[1]].astype(np.int64)
            np.testing.assert_array_equal(kernels.dots(level, nibbles, query, unaligned(rows)), wanted)
