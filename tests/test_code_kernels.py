"""Kernels over codes, of every level, against NumPy: bytes, nibbles, planes of bits, words."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_rows import (
    FEW_DIMS,
    after_nothing,
    as_bytes,
    before_nothing,
    unaligned,
)
from truth import hamming

from annkit._core import _kernels as kernels

DIMS = [*range(1, 68), 96, 100, 128, 200, 384, 768, 784, 960, 1536]


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


def test_choices_among_numbers_of_16_bits(rng, level):
    """The bound that k numbers are within has hardly more of them within it, where they differ."""
    for n in (1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300, 2048, 4000):
        for most in (1, 40, 5000, 65535):
            numbers = rng.integers(0, most + 1, n).astype(np.uint16)
            for low, high in (
                (0, 0),
                (0, most // 3),
                (0, most),
                (0, 65535),
                (most // 3, most // 2),
                (65535, 65535),
                (9, 8),
            ):
                got, _ = kernels.choose16(level, numbers.tolist(), low, high, 1)
                np.testing.assert_array_equal(got, np.flatnonzero((numbers >= low) & (numbers <= high)))
            for k in {1, min(n, 2), min(n, 10), min(n, 100), n}:
                _, bound = kernels.choose16(level, numbers.tolist(), 0, 0, k)
                ascending = np.sort(numbers)
                assert bound >= ascending[k - 1]
                if most == 65535 and k <= n // 2:
                    assert bound <= ascending[min(2 * k + 6, n - 1)]


def test_sums_of_entries_that_nibbles_name(rng, level):
    """To the last bit those of four sums that take turns, and then of what is left, in float32."""
    for m in [*range(1, 40), 48, 64, 97, 130]:
        tables = rng.standard_normal((m, 16)).astype(np.float32)
        codes = rng.integers(0, 16, (160, m))
        padded = np.zeros((160, (m + 1) // 2 * 2), np.int64)
        padded[:, :m] = codes
        halves = padded.reshape(5, 2, 16, -1)
        blocks = (halves[:, 0] | halves[:, 1] << 4).transpose(0, 2, 1).reshape(5, -1).astype(np.uint8)
        found = tables[np.arange(m), codes]
        sums = np.zeros((4, 160), np.float32)
        for g in range(m // 4 * 4):
            sums[g % 4] += found[:, g]
        wanted = (sums[0] + sums[1]) + (sums[2] + sums[3])
        for g in range(m // 4 * 4, m):
            wanted += found[:, g]
        for n in (1, 2, 3, 15, 16, 17, 33, 100):
            rows = rng.integers(0, 160, n)
            got = kernels.sum_nibbles(level, tables, unaligned(blocks), rows.tolist())
            np.testing.assert_array_equal(got, wanted[rows])


def test_near_words_are_those_with_few_other_bits(rng, level):
    words = rng.integers(0, 2**32, 3000, dtype=np.uint32) & rng.integers(0, 2**32, 3000, dtype=np.uint32)
    bits = np.unpackbits((words ^ words[7]).view(np.uint8).reshape(-1, 4), axis=1).sum(axis=1)
    firsts = rng.integers(0, 2900, 60)
    lengths = np.array([*range(20), 31, 32, 33, 100, *rng.integers(0, 40, 36)])
    runs = np.stack([firsts, firsts + lengths], axis=1)
    for most in (0, 5, 10, 16, 32):
        got = kernels.near_words(level, words.tolist(), runs.ravel().tolist(), int(words[7]), most)
        wanted = [i for first, last in runs for i in range(first, last) if bits[i] <= most]
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dim", [8, 16, 24, 104, 128, 200, 784])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_levels_in_planes_of_bits(rng, level, dim, count):
    values = rng.integers(0, 1 << count, dim)
    query = rng.standard_normal(dim).astype(np.float32)
    planes = [np.packbits(values >> p & 1, bitorder="little") for p in (count - 1, *range(count - 1))]
    wanted = query.astype(np.float64) @ (values - ((1 << count) - 1) / 2)
    got = kernels.plane_dot(level, query.tolist(), np.stack(planes))
    assert abs(got - wanted) < 1e-6 * (1 << count) * np.abs(query).sum()


@pytest.mark.parametrize("dim", [1, 7, 8, 9, 15, 16, 17, 31, 64, 100])
def test_planes_of_what_is_above_are_those_of_numpy(rng, level, dim):
    """Integers, whose squares are exact in any order."""
    wide, threshold = rng.integers(-2, 3, (5, dim + 3)).astype(np.float32), rng.integers(-2, 3, dim)
    x = wide[:, :dim]
    planes, squares = kernels.planes_above(level, wide, threshold.tolist())
    np.testing.assert_array_equal(planes, np.packbits(x > threshold, axis=1, bitorder="little"))
    assert squares == np.square(x).sum()
    wide[2, dim - 1] = np.nan
    assert np.isnan(kernels.planes_above(level, wide, threshold.tolist())[1])


@pytest.mark.parametrize("nibbles", [False, True])
@pytest.mark.parametrize("size", [1, 4, 15, 16, 17, 25, 31, 32, 33, 60, 63, 64, 65, 68, 100, 127, 128, 392, 4096])
def test_scores_of_scattered_codes_are_rounded_once_a_step(rng, level, nibbles, size):
    levels = kernels.byte_query_levels(level)
    for n in (1, 2, 3, 4, 5, 32):
        for extreme in (False, True):
            rows = rng.integers(0, 256, (n, size), np.uint8)
            query = rng.integers(-levels, levels + 1, 2 * size).astype(np.int8)
            if extreme:
                rows[:], query[:] = 255, levels if n % 2 else -levels
            codes = np.concatenate([rows & 15, rows >> 4], axis=1) if nibbles else rows
            dots = (codes.astype(np.int64) @ query[: codes.shape[1]].astype(np.int64)).astype(np.float32)
            scores = kernels.scattered_scores(level, nibbles, query, unaligned(rows), 0, 1, False)
            np.testing.assert_array_equal(scores, dots)
            base, mul, *adds = rng.standard_normal(n + 2).astype(np.float32)
            behind = np.array(adds).view(np.uint8).reshape(n, 4)
            scores = kernels.scattered_scores(
                level, nibbles, query, unaligned(np.concatenate([rows, behind], axis=1)), base, mul, True
            )
            np.testing.assert_array_equal(scores, base + mul * dots + np.array(adds))


@pytest.mark.parametrize("place", [before_nothing, after_nothing])
@pytest.mark.parametrize("size", [1, 4, 17, 31, 32, 33, 63, 64, 65, 100, 128, 257, 1536])
def test_scores_of_rows_of_codes_that_follow_each_other(rng, level, size, place):
    """Rows are read up to a multiple of four bytes, and what lies there does not count."""
    levels = kernels.byte_query_levels(level)
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 31):
        for extreme in (False, True):
            rows = place(rng.integers(0, 256, (n, (size + 3) // 4 * 4), np.uint8))
            query = rng.integers(-levels, levels + 1, size).astype(np.int8)
            if extreme:
                rows[:], query[:] = 255, levels if n % 2 else -levels
            dots = (rows[:, :size].astype(np.int64) @ query.astype(np.int64)).astype(np.float32)
            base, mul, *add = rng.standard_normal(n + 2).astype(np.float32)
            got = kernels.byte_run(level, query, rows, base, mul, np.float32(add))
            np.testing.assert_array_equal(got, (base + np.float32(add)) + mul * dots)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 64, 100, 769])
def test_queries_of_codes_are_rounded_to_bytes(rng, level, size):
    levels = kernels.byte_query_levels(level)
    for scale in (0.0, 1e-36, 1e-12, 1.0, 1e6, 1e17):
        query, center, low = (scale * rng.standard_normal((3, size))).astype(np.float32)
        step, mean = rng.random((2, size)).astype(np.float32)
        weights, sums, codes, terms = kernels.round_weights(level, query, center, low, step, 255 * mean)
        q = query.astype(np.float64) - center
        np.testing.assert_allclose(weights, q * step, rtol=1e-5, atol=1e-7 * scale)
        sizes = np.array([np.abs(q) @ np.abs(low - center), q @ q])
        assert (np.abs(sums - np.array([q @ (low - center), q @ q])) <= 1e-5 * sizes + 1e-38).all()
        code_scale, error2, of_mean = terms
        most = np.abs(weights).max()
        assert code_scale == max(np.float32(most / np.float32(levels)), np.float32(1e-30))
        left = weights - code_scale * codes.astype(np.float64)
        assert max(np.abs(codes)) <= levels
        assert (np.abs(left) <= 0.5001 * code_scale).all()
        in_scales = left / code_scale
        np.testing.assert_allclose(error2, in_scales @ in_scales, rtol=1e-3, atol=1e-9 * size)
        assert abs(of_mean - left @ (255 * mean)) <= 1e-4 * (np.abs(left) @ (255 * mean)) + 1e-4 * most + 1e-38


@pytest.mark.parametrize("place", [before_nothing, after_nothing])
def test_codes_are_read_neither_before_their_first_byte_nor_behind_their_last(rng, level, place):
    levels = kernels.byte_query_levels(level)
    for size in DIMS:
        codes, query = rng.integers(0, 256, (9, size), np.uint8), rng.integers(0, 256, (1, size), np.uint8)
        weights = rng.integers(-levels, levels + 1, size).astype(np.int8)
        for n in (1, 3, 4, 5, 9):
            there, wanted = place(codes[:n]), hamming(query, codes[:n])[0]
            np.testing.assert_array_equal(kernels.hamming_scan(level, place(query), there), wanted)
            np.testing.assert_array_equal(kernels.score_rows(level, "hamming", 0, place(query), there, size, 1), wanted)
            dots = codes[:n].astype(np.int64) @ weights.astype(np.int64)
            np.testing.assert_array_equal(kernels.scattered_scores(level, False, weights, there, 0, 1, False), dots)
            halves = (codes[:n] & 15).astype(np.int64) + (codes[:n] >> 4)
            both = np.concatenate([weights, weights])
            scores = kernels.scattered_scores(level, True, both, there, 0, 1, False)
            np.testing.assert_array_equal(scores, halves @ weights.astype(np.int64))


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 7, 8, 12, 16, 17, 33, 64, 100])
@pytest.mark.parametrize("k", [4, 16, 256])
def test_the_nearest_in_a_group_has_the_least_score(rng, level, dim, k):
    points = rng.integers(-8, 9, (150, dim)).astype(np.float32)  # sums are exact, so that ties are, too
    centroids = rng.integers(-8, 9, (k, dim)).astype(np.float32)
    norms = (centroids**2).sum(axis=1)
    wanted = (points.astype(np.float64) @ centroids.T + norms).argmin(axis=1)  # the first of equals
    np.testing.assert_array_equal(kernels.nearest_in_group(level, points, centroids, norms), wanted)


def test_the_nearest_in_a_group_does_not_depend_on_the_place(rng, level):
    points = np.repeat(rng.standard_normal((3, 7)).astype(np.float32), 70, axis=0)
    centroids = rng.standard_normal((64, 7)).astype(np.float32)
    found = kernels.nearest_in_group(level, points, centroids, (centroids**2).sum(axis=1))
    assert (found.reshape(3, 70) == found.reshape(3, 70)[:, :1]).all()
