"""Every kernel of every level against NumPy: integers exactly, floats within the error of their sums."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_rows import (
    EDGES,
    ELEMENTS,
    FEW_DIMS,
    UNIT,
    as_bytes,
    query_of,
    rows_of,
)
from truth import from_bf16, hamming, in_halves, to_bf16

import annkit as ak
from annkit._core import _kernels as kernels

DIMS = [*range(1, 68), 96, 100, 128, 200, 384, 768, 784, 960, 1536]
WIDTHS = [*range(1, 41), 47, 64, 65, 100, 128, 129, 256]


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
def test_floats_in_halves_score_as_whole_ones(rng, level, metric):
    whole, halves = ELEMENTS.index("f32"), ELEMENTS.index("split")
    for dim in FEW_DIMS:
        x = (rng.standard_normal((9, dim)) * 10.0 ** rng.integers(-40, 19, (9, 1))).astype(np.float32)
        q = as_bytes(rng.standard_normal((1, dim)).astype(np.float32))
        wanted = kernels.score_rows(level, metric, whole, q, as_bytes(x), dim, 1)
        np.testing.assert_array_equal(
            kernels.score_rows(level, metric, halves, q, as_bytes(in_halves(x)), dim, 1), wanted
        )
        np.testing.assert_array_equal(kernels.scan_rows(level, metric, halves, q, as_bytes(in_halves(x)), dim), wanted)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("element", ["f16", "bf16", "split"])
def test_wider_registers_add_in_the_same_order(rng, metric, element):
    number = ELEMENTS.index(element)
    for dim in DIMS:
        x, _ = rows_of(rng, element, 5, dim)
        q, _ = query_of(rng, element, dim)
        args = (metric, number, as_bytes(q), as_bytes(x), dim, 1)
        try:
            got = kernels.score_rows("avx512", *args)
        except ValueError:
            pytest.skip("this machine has no AVX-512")
        np.testing.assert_array_equal(got, kernels.score_rows("avx2", *args))


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


def test_hamming_rows_are_exact(rng, level):
    for width in WIDTHS:
        codes = rng.integers(0, 256, (100, width)).astype(np.uint8)
        codes[0], codes[1] = 0, 255
        for query in (codes[:1], codes[1:2], codes[5:6] ^ 129):
            wanted = hamming(query, codes)[0]
            for offset in (0, 1, 3):
                q, c = as_bytes(query, offset), as_bytes(codes, offset)
                for n in (1, 4, 37, 100):
                    got = kernels.score_rows(level, "hamming", 0, q, c[:n], width, 1)
                    np.testing.assert_array_equal(got, wanted[:n])
                    np.testing.assert_array_equal(kernels.hamming_scan(level, q, c[:n]), wanted[:n])


def test_select_finds_scores_within_the_bound(rng, level):
    for n in (0, 1, 7, 8, 15, 16, 17, 33, 100, 1024):
        scores = rng.integers(-3, 4, n).astype(np.float32)
        scores[: n // 10] = np.nan
        for bound in (-4, -1, 0, 3, np.inf, -np.inf):
            got = kernels.select(level, scores.tolist(), bound)
            np.testing.assert_array_equal(got, np.flatnonzero(scores <= bound))
            assert kernels.count(level, scores.tolist(), bound) == len(got)


@pytest.mark.parametrize("most", [1, 5, 16, 40, 64, 100])
def test_pushed_nodes_are_kept_in_the_order_of_their_scores(rng, level, most):
    scores = rng.integers(-30, 30, 400).astype(np.float32)
    scores[::11], scores[5::50] = np.nan, np.inf
    sizes = [1, 0, 2, 15, 16, 17, 33, 64, 1, 1, 100, 50, 100]
    for most_equal in (400, 3, 1):
        for bound in (3e38, 20):
            kept: list[tuple[float, int]] = []
            firsts, node = [], 0
            for size in sizes:
                before = list(kept)
                for score in scores[node : node + size].tolist():
                    nearer = score < kept[-1][0] if len(kept) == most else True
                    if score <= bound and nearer and sum(other == score for other, _ in kept) < most_equal:
                        kept = sorted([*kept, (score, node)])[:most]
                    node += 1
                changed = (i for i, pair in enumerate(kept) if pair not in before)
                firsts.append(next(changed, most))
            got = kernels.push_near(level, scores.tolist(), sizes, most, most_equal, bound)
            np.testing.assert_array_equal(got[0], [score for score, _ in kept])
            np.testing.assert_array_equal(got[1], [node for _, node in kept])
            np.testing.assert_array_less(got[2], np.array(firsts) + 1)  # what left again may have changed more


def test_ranks_are_those_of_sorting(rng, level):
    """Equal numbers and NaN are told."""
    for n in (0, 1, 2, 15, 16, 17, 31, 33, 48, 49, 63, 64, 65, 100, 128, 150):
        numbers = rng.permutation(np.linspace(-1, 1, n, dtype=np.float32))
        ranks, differ = kernels.rank(level, numbers.tolist())
        np.testing.assert_array_equal(ranks, np.argsort(np.argsort(numbers)))
        assert differ
        for odd in (numbers[0], np.nan) if n > 1 else ():
            numbers[-1] = odd
            assert not kernels.rank(level, numbers.tolist())[1]


def test_every_half_widens_exactly(level):
    every = np.arange(65536, dtype=np.uint16)
    for kind, wanted in enumerate((every.view(np.float16).astype(np.float32), from_bf16(every))):
        got = kernels.widen(level, kind, every.tolist())
        np.testing.assert_array_equal(got, wanted)
        kept = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got[kept]), np.signbit(wanted[kept]))


def test_floats_are_split_without_loss(rng, level):
    every = rng.integers(0, 2**32, 50000, dtype=np.uint32)
    edges = np.uint32([0, 1, 0x7FFF, 0x8000, 0x8001, 0x7F7FFFFF, 0x7F7F8000, 0x7F7F7FFF, 0x007FFFFF, 0x00800000])
    x = np.concatenate([every, edges, edges | np.uint32(1 << 31)]).view(np.float32)
    x = x[np.isfinite(x)]
    halves = kernels.split(level, x.tolist())
    np.testing.assert_array_equal(halves, in_halves(x))
    np.testing.assert_array_equal(kernels.join(level, halves.tolist()).view(np.uint32), x.view(np.uint32))
    upper = from_bf16(halves[: len(x)]).astype(np.float64)
    held = np.abs(x) < 3e38
    assert (np.abs(upper - x)[held] <= np.maximum(np.abs(x) / 256, 2.0**-134)[held]).all()


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


@pytest.mark.parametrize("dim", [1, 3, 8, 15, 16, 17, 33, 64, 65, 100, 129, 784])
def test_squares_are_inner_products_of_rows_with_themselves(rng, level, dim):
    rows = rng.standard_normal((9, dim + 3)).astype(np.float32)
    x = np.ascontiguousarray(rows[:, :dim])
    for n in (0, 1, 2, 3, 4, 5, 9):
        got = kernels.squares(level, rows[:n], dim)
        np.testing.assert_allclose(got, np.square(x[:n], dtype=np.float64).sum(axis=1), rtol=1e-6)
    for row, square in zip(x, got, strict=True):
        (same,) = kernels.score_rows(level, "ip", 0, as_bytes(row), as_bytes(row[None]), dim, 1)
        assert square == -same  # to the last bit: norms that are stored stay what they are


@pytest.mark.parametrize("dim", [1, 3, 8, 15, 16, 17, 33, 64, 100, 129])
def test_differences_are_summed_and_squared(rng, level, dim):
    point = rng.standard_normal(dim).astype(np.float32)
    for n in (0, 1, 7, 8, 9, 17, 64):
        rows = rng.standard_normal((n, dim)).astype(np.float32) + 3
        sums, squares = kernels.sum_differences(level, point, rows)
        apart = rows.astype(np.float64) - point
        np.testing.assert_allclose(sums, 1 + apart.sum(axis=0), rtol=1e-5, atol=1e-5)
        assert squares == pytest.approx(np.square(apart).sum(), rel=1e-5)


@pytest.mark.parametrize("dim", [1, 7, 16, 17, 31, 64, 100, 133])
def test_rows_less_their_mean_and_their_squares(rng, level, dim):
    wide, mean = rng.integers(-9, 10, (5, dim + 3)).astype(np.float32), rng.standard_normal(dim).astype(np.float32)
    x = wide[:, :dim]
    centered, squares = kernels.center(level, wide, mean.tolist(), dim)
    np.testing.assert_array_equal(centered[:, :dim], x - mean)
    assert squares == np.square(x).sum() == kernels.center(level, wide, [], dim)[1]
    wide[3, dim - 1] = np.inf
    assert not np.isfinite(kernels.center(level, wide, mean.tolist(), dim)[1])


def test_minima_of_blocks_are_exact(rng, level):
    for dim in (1, 5, 64, 129):
        for blocks in (1, 2, 9):
            queries, rows = rng.integers(-9, 10, (32, dim)), rng.integers(-9, 10, (8 * blocks, dim))
            add, mul = rng.integers(0, 9, 8 * blocks).astype(float), rng.choice([-1.0, -2.0], 8 * blocks)
            heavy = [rng.integers(-99, 100, (blocks % 3, n)).astype(np.float32) for n in (8 * blocks, 32)]
            scores = add + mul * (queries @ rows.T) + heavy[1].T @ heavy[0]
            scores = scores.reshape(32, blocks, 8).min(axis=2)
            i8 = queries.astype(np.int8), rows.astype(np.int8)
            got, at = kernels.minima(level, as_bytes(i8[0]), as_bytes(i8[1]), list(mul), list(add), *heavy)
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


@pytest.mark.parametrize("n", [0, 1, 2, 5, 40])
def test_rotations_of_neighbouring_columns(rng, level, n):
    """The same to the bit at every level: no sum is made in one step with a product."""
    columns, turns = rng.standard_normal((n + 2, 16)), rng.uniform(0, 7, n)
    rotations = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    got = kernels.rotate_columns(level, columns.ravel().tolist(), rotations.ravel().tolist())
    for i, (c, s) in enumerate(rotations):
        x, y = columns[i].copy(), columns[i + 1].copy()
        columns[i], columns[i + 1] = c * x - s * y, s * x + c * y
    np.testing.assert_array_equal(got, columns.ravel())


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 12, 31, 64])
def test_reflections_update_a_symmetric_matrix_and_multiply_it(rng, level, n):
    """Values are small whole numbers, so every sum is exact."""
    lower = np.tril(rng.integers(-9, 10, (n, n)))
    v, w, x = rng.integers(-9, 10, (3, n))
    padded = [np.pad(a, (0, 8)).astype(float).tolist() for a in (v, w, x)]
    columns = np.pad(lower.T, ((0, 0), (0, 8))).astype(float)
    for first, last in {(0, n), (n // 3, n), (n // 3, n // 2), (0, 0)}:
        got, y = kernels.reflect_columns(level, columns.ravel().tolist(), *padded, first, last)
        wanted = lower - np.tril(np.outer(v, w) + np.outer(w, v))
        wanted[:, :first], wanted[:, last:] = lower[:, :first], lower[:, last:]
        done = wanted.copy()
        done[:, :first], done[:, last:] = 0, 0
        np.testing.assert_array_equal(np.tril(got.reshape(n, n + 8)[:, :n].T), wanted)
        np.testing.assert_array_equal(y, np.pad(done @ x + np.tril(done, -1).T @ x, (0, 8)))
