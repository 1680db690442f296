"""LSH tables: collisions as the papers have them, probing, sketches, rows that come one by one, and choosing."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from scipy import integrate, stats
from truth import assert_nearest, assert_same, distances, tolerance_of

import annkit as ak
from annkit import _lsh

FAMILIES = ["hyperplane", "p-stable", "cross-polytope"]
DIM, N = 24, 4000


def clustered(seed, n):
    centers = np.random.default_rng(1).standard_normal((40, DIM)) * 1.5
    rng = np.random.default_rng(seed)
    return (centers[rng.integers(40, size=n)] + rng.standard_normal((n, DIM))).astype(np.float32)


X, Q = clustered(2, N), clustered(3, 100)


def recall(found, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth.tolist(), strict=True)])


def pairs(n, offset, seed=0):
    """Return rows, and others each at `offset` from its own, in random directions."""
    rng = np.random.default_rng(seed)
    x, step = rng.standard_normal((2, n, DIM))
    return x, x + offset * step / np.linalg.norm(step, axis=1, keepdims=True)


def shared(index, x, y):
    """Return the share of tables in which pairs of rows share a bucket."""
    return (index.buckets(x) == index.buckets(y)).mean()


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.0])
def test_hyperplanes_part_rows_as_often_as_the_angle_says(angle):
    index = ak.LSHTables(family="hyperplane", tables=1000, bits=3, sketch=0, directions="random").fit(X)
    rng = np.random.default_rng(0)
    x, other = rng.standard_normal((2, 200, DIM))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    other -= (other * x).sum(axis=1, keepdims=True) * x
    y = np.cos(angle) * x + np.sin(angle) * other / np.linalg.norm(other, axis=1, keepdims=True)
    # 200 pairs share the 3,000 hyperplanes: the mean's deviation is below 0.005 even if they were all alike.
    assert shared(index, x, y) == pytest.approx((1 - angle / np.pi) ** 3, abs=0.025)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 3.0])
def test_lines_part_rows_as_often_as_the_formula_says(ratio):
    width, functions, bits = 4.0, 2, 4
    index = ak.LSHTables(family="p-stable", tables=1000, bits=bits, sketch=0, directions="random", width=width).fit(X)
    distance = ratio * width
    x, y = pairs(200, distance)
    # Datar et al. 2004, section 3.2: the distance along a line is distance * |normal|.
    one, _ = integrate.quad(lambda t: 2 / distance * stats.norm.pdf(t / distance) * (1 - t / width), 0, width)
    both = one**functions
    # Keys that differ share one of the 16 buckets by chance.
    assert shared(index, x, y) == pytest.approx(both + (1 - both) / 2**bits, abs=0.03)


def test_polytopes_part_rows_as_random_rotations_do():
    angle, dims, rng = 0.7, 2, np.random.default_rng(0)
    index = ak.LSHTables(family="cross-polytope", tables=1000, bits=2, sketch=0, directions="random").fit(X[:, :dims])
    turns = rng.uniform(0, 2 * np.pi, 300)
    x, y = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (turns, turns + angle))
    # In the plane a corner is a quarter of the circle.
    assert shared(index, x, y) == pytest.approx(1 - angle / (np.pi / 2), abs=0.03)


@pytest.mark.parametrize("directions", ["principal", "random"])
@pytest.mark.parametrize("family", FAMILIES)
def test_buckets_hold_near_rows_more_often_than_far_ones(family, directions):
    index = ak.LSHTables(family=family, tables=50, bits=8, sketch=0, directions=directions).fit(X)
    (x, near), (_, far) = pairs(200, 0.3), pairs(200, 6.0)
    assert shared(index, x, x) == 1
    assert shared(index, x, near) > 2 * shared(index, x, far)
    slots = index.buckets(X)
    assert slots.shape == (N, 50)
    assert slots.min() >= 0
    assert 128 < slots.max() < 256


def test_principal_hyperplanes_halve_the_rows():
    index = ak.LSHTables(tables=20, bits=1, sketch=0).fit(X + 100)
    assert np.allclose(index.buckets(X + 100).mean(axis=0), 0.5, atol=0.02)


@pytest.mark.parametrize("metric", ["l2", "cosine", "ip"])
@pytest.mark.parametrize("family", FAMILIES)
def test_probes_find_most_of_what_numpy_finds(family, metric):
    table = distances(Q, X, metric)
    truth = np.argsort(-table if metric == "ip" else table, axis=1)[:, :10]
    index = ak.LSHTables(family=family, bits=8, tables=2, metric=metric).fit(X).add(X)
    found = index.search(Q, 10, probes=48)
    # For the inner product all rows are far from a query, where lines tell little.
    assert recall(found.ids, truth) > (0.6 if (family, metric) == ("p-stable", "ip") else 0.9)
    assert_nearest(
        index.search(Q, 10, probes=256, candidates=N), table, np.arange(N), metric, 4 * tolerance_of(Q, X, metric)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_more_probes_and_candidates_find_no_less(family):
    index = ak.LSHTables(family=family, bits=9, sketch=64).fit(X).add(X)
    for setting, values in (("probes", (1, 2, 3, 7, 20, 100, 511, 512)), ("candidates", (10, 50, 300, N))):
        before = np.full((len(Q), 10), np.inf)
        for value in values:
            settings = {"probes": 64, "candidates": N} | {setting: value}
            got = index.search(Q, 10, **settings).distances
            assert (got <= before).all()
            before = got


@pytest.mark.parametrize("family", FAMILIES)
def test_one_probe_is_the_bucket_of_the_query(family):
    index = ak.LSHTables(family=family, bits=6, sketch=0).fit(X).add(X)
    of_rows, of_queries = index.buckets(X)[:, 0], index.buckets(Q)[:, 0]
    ids = index.search(Q, N, probes=1).ids
    for mine, bucket in zip(ids, of_queries, strict=True):
        np.testing.assert_array_equal(np.sort(mine[mine >= 0]), np.flatnonzero(of_rows == bucket))


def test_probes_come_in_the_order_of_their_distances():
    bits = 6
    x = np.random.default_rng(0).uniform(-1, 1, (3000, bits)).astype(np.float32)
    index = ak.LSHTables(bits=bits, sketch=0, directions="random").fit(x).add(x)
    buckets = index.buckets(x)[:, 0]
    for q in x[:20]:
        reached = [set(buckets[(r := index.search(q, 3000, probes=p).ids[0])[r >= 0]]) for p in (1, 2, 4, 16, 64)]
        for fewer, more in itertools.pairwise(reached):
            assert fewer <= more
        own = index.buckets(q)[0, 0]
        assert reached[0] <= {own}
        # The second bucket differs in the one hyperplane that is nearest.
        assert all(bin(int(own) ^ int(other)).count("1") <= 1 for other in reached[1])
        assert reached[-1] == set(buckets)


def test_a_query_on_every_hyperplane_is_answered():
    x = np.concatenate([X, -X])
    index = ak.LSHTables(bits=10, directions="random", sketch=64).fit(x).add(x)
    zero = np.zeros((3, DIM), np.float32)
    whole = index.search(zero, 5, probes=100, threads=1)
    assert_same(index.search(zero[:1], 5, probes=100), [part[:1] for part in whole])
    assert (index.search(zero, 5, probes=1024, candidates=2 * N).ids >= 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_come_one_by_one_are_found_like_those_that_come_at_once(family):
    make = lambda: ak.LSHTables(family=family, bits=7, tables=2, sketch=64).fit(X)  # noqa: E731
    whole, parts = make().add(X), make()
    for first in range(0, N, 277):
        parts.add(X[first : first + 277])
    for row in range(30):
        parts.add(X[row], ids=[N + row]).remove([N + row])
    parts.compact()
    whole.add(X[0], ids=[N + 29]).remove([N + 29]).compact()  # the largest id is remembered
    assert parts.to_bytes() == whole.to_bytes()
    assert_same(parts.search(Q, 7, probes=9, threads=2), whole.search(Q, 7, probes=9, threads=1))


def test_a_table_takes_what_a_row_and_a_sketch_take():
    index = ak.LSHTables(bits=8, tables=2, sketch=128).fit(X).add(X)
    assert index.memory()["tables"] == 2 * (N * (4 + 16) + 257 * 4)
    index.remove(np.arange(0, N, 2))
    assert index.memory()["tables"] == 2 * (N // 2 * (4 + 16) + 257 * 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "minhash"}, 'family is "minhash", expected one of "hyperplane"'),
        ({"tables": 0}, "tables is 0"),
        ({"bits": 25}, "bits is 25, expected 1 to 24"),
        ({"sketch": 100}, "sketch is 100, expected a multiple of 64"),
        ({"directions": "best"}, 'directions is "best"'),
        ({"width": 1.0}, 'width is of family "p-stable"'),
        ({"family": "p-stable", "width": -1.0}, "width is -1"),
        ({"family": "p-stable", "width": float("nan")}, "width is nan"),
        ({"metric": "hamming"}, 'metric "hamming" does not go with LSHTables'),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ak.LSHTables(**options)


def test_candidates_are_a_setting_of_sketches_only():
    with pytest.raises(TypeError, match='unexpected setting "candidates"'):
        ak.LSHTables(sketch=0).fit(X).add(X).search(Q, candidates=5)


@pytest.mark.parametrize("options", [{}, {"family": "p-stable", "width": 0.3, "directions": "random", "sketch": 0}])
def test_repr_is_the_constructor_call(options):
    index = ak.LSHTables(tables=3, bits=5, codec=ak.SQ(8), metric="cosine", **options)
    assert repr(eval(repr(index), {"LSHTables": ak.LSHTables, "Raw": ak.Raw, "SQ": ak.SQ})) == repr(index)


def test_rows_of_one_dimension_and_equal_rows_are_found():
    for family in FAMILIES:
        line = np.arange(50, dtype=np.float32)[:, None]
        index = ak.LSHTables(family=family, bits=4).fit(line).add(line)
        assert index.search(line, 1, probes=16).ids.ravel().tolist() == list(range(50))
        same = np.ones((2000, 5), np.float32)
        index = ak.LSHTables(family=family, bits=4).fit(same).add(same)
        assert index.search(same[0], 3, probes=1).ids.tolist() == [[0, 1, 2]]


def test_tune_finds_probes_and_candidates():
    truth = ak.Flat().add(X).search(Q, 10).ids
    index = ak.LSHTables(bits=8, sketch=64).fit(X).add(X)
    found = ak.tune(index, Q, truth, 0.9, within=2)
    assert found.reached
    assert set(found.settings) == {"probes", "candidates"}
    assert recall(index.search(Q, 10, **found.settings).ids, truth) == pytest.approx(found.recall)
    both = ak.Refine(ak.LSHTables(bits=8, codec=ak.SQ(8))).fit(X).add(X)
    assert set(ak.tune(both, Q, truth, 0.9, within=1).settings) == {"probes", "k_factor"}


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_tuned_reaches_the_recall_on_queries_it_has_not_seen(metric):
    found = ak.LSHTables.tuned(X, 0.9, metric=metric, within=2)
    assert found.reached
    assert len(found.tables) == N
    assert (found.tables.metric, found.tables.ids.tolist()) == (metric, list(range(N)))
    truth = ak.Flat(metric=metric).add(X).search(Q, 10).ids
    assert recall(found.tables.search(Q, 10, **found.settings).ids, truth) > 0.84  # of 100 queries


def test_tuned_goes_on_where_time_was_too_short_for_the_recall(monkeypatch):
    monkeypatch.setattr(_lsh, "_LEAST_SECONDS", 1e-9)
    for target in (0.95, 1.0):
        found = ak.LSHTables.tuned(X, target, within=1e-9, families=["hyperplane"])
        truth = ak.Flat().add(X).search(Q, 10).ids
        assert found.reached
        assert found.recall >= target
        assert recall(found.tables.search(Q, 10, **found.settings).ids, truth) > target - 0.06


def test_tuned_says_what_is_wrong():
    for x, options, message in (
        (X[:99], {}, "at least 100 rows"),
        (X, {"recall": 0}, "recall is 0"),
        (X, {"k": 0}, "k is 0"),
        (X, {"within": 0}, "within is 0"),
        (X, {"families": ["minhash"]}, "minhash"),
        (X, {"families": []}, "families is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            ak.LSHTables.tuned(x, **options)


def test_a_copy_answers_and_grows_on_its_own():
    index = ak.LSHTables(bits=6, sketch=64).fit(X).add(X[:2000])
    before = index.search(Q, 5)
    copy.copy(index).add(X[2000:]).remove(np.arange(1500))
    assert_same(index.search(Q, 5), before)
