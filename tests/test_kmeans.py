"""k-means against NumPy and scikit-learn."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hard_rows import HARD, blobs
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as Peer
from sklearn.cluster import kmeans_plusplus

import annkit as ak

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


def cost(x, centroids):
    """Return the sum of squared distances of rows from their nearest centroids."""
    x, centroids = x.astype(np.float64), centroids.astype(np.float64)
    total = 0.0
    for part in np.array_split(x, len(x) // 1000 + 1):
        scores = (centroids**2).sum(axis=1) - 2 * part @ centroids.T
        total += ((part - centroids[scores.argmin(axis=1)]) ** 2).sum()
    return total


@pytest.mark.parametrize("dim", [2, 15, 16, 40, 130])
@pytest.mark.parametrize("k", [1, 7, 100])
def test_the_objective_is_what_scikit_learn_gets(rng, dim, k):
    x = blobs(rng, 6000, dim, 300, 1.0)
    ours = np.mean([cost(x, ak.KMeans(k, seed=s, sample=0, rounds=20).fit(x).centroids_) for s in range(3)])
    peer = np.mean([Peer(k, init="random", n_init=1, max_iter=20, random_state=s).fit(x).inertia_ for s in range(3)])
    assert ours <= 1.03 * peer


@pytest.mark.parametrize("n", [110, 150, 190, 1999])
def test_a_sample_is_taken_from_all_rows_alike(n):
    x = np.linspace(-1, 1, n, dtype=np.float32)[:, None]  # rows in order, as words by their frequency
    means = [float(ak.KMeans(1, sample=100, seed=seed).fit(x).centroids_[0, 0]) for seed in range(20)]
    assert abs(np.mean(means)) < 0.01


@pytest.mark.parametrize("k", [5, 80])
def test_k_means_plus_plus_is_as_good_as_scikit_learn(rng, k):
    x = blobs(rng, 5000, 24, k)
    ours = [cost(x, ak.KMeans(k, start="k-means++", seed=s).fit(x).centroids_) for s in range(15)]
    starts = [kmeans_plusplus(x, k, random_state=s, n_local_trials=1)[0] for s in range(15)]
    peer = [Peer(k, init=start, n_init=1, max_iter=10).fit(x).inertia_ for start in starts]
    random = [cost(x, ak.KMeans(k, seed=s).fit(x).centroids_) for s in range(15)]
    # One start in twelve, of either, has two centroids in one of five blobs, which costs many times as much.
    assert np.median(ours) <= 1.1 * np.median(peer)
    assert np.mean(ours) < np.mean(random)


def test_the_objective_is_the_cost_and_falls(rng):
    for dim in (8, 64):
        x = blobs(rng, 5000, dim, 200, 1.0)
        model = ak.KMeans(70, sample=0, rounds=15).fit(x)
        assert (np.diff(model.objective_) <= 1e-6 * model.objective_[0]).all()
        assert cost(x, model.centroids_) == pytest.approx(model.objective_[-1], rel=0.01)
        assert cost(x, model.centroids_) <= model.objective_[-1] * (1 + 1e-6)


def test_rounds_end_once_nothing_changes(rng):
    x = blobs(rng, 2000, 4, 5, 0.01)
    model = ak.KMeans(5, start="k-means++", rounds=1000, sample=0).fit(x)
    assert len(model.objective_) < 100
    means = [x[model.predict(x) == c].mean(axis=0) for c in range(5)]
    np.testing.assert_allclose(model.centroids_, means, rtol=1e-5)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize(("n", "k"), [(3000, 12), (60_000, 3)])
def test_centroids_are_the_means_of_their_rows_after_any_round(rng, n, k, spherical):
    """Also of cells that went far from where they began, rows coming and leaving."""
    x = blobs(rng, n, 9, 12, 0.3) * np.float32(30) + np.float32(500)
    for rounds in (2, 3, 8, 25):
        before = ak.KMeans(k, sample=0, rounds=rounds - 1, spherical=spherical).fit(x)
        after = ak.KMeans(k, sample=0, rounds=rounds, spherical=spherical).fit(x)
        assigned = before.predict(x)
        means = np.stack([x[assigned == c].mean(axis=0, dtype=np.float64) for c in range(k)])
        if spherical:
            means /= np.linalg.norm(means, axis=1, keepdims=True)
        np.testing.assert_allclose(after.centroids_, means, rtol=1e-6)
        assert spherical or after.objective_[-1] == pytest.approx(((x - means[assigned]) ** 2).sum(), rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.uint8, np.int8])
@pytest.mark.parametrize("spherical", [False, True])
def test_predict_is_numpys_argmin(rng, dtype, spherical):
    x = rng.integers(0, 12, (3000, 19)).astype(dtype)
    model = ak.KMeans(50, rounds=1, spherical=spherical).fit(x)
    c = model.centroids_.astype(np.float64)
    scores = -x.astype(np.float64) @ c.T if spherical else ((x[:, None].astype(np.float64) - c) ** 2).sum(axis=2)
    got = model.predict(x)
    assert got.dtype == np.int64
    least = scores.min(axis=1)
    np.testing.assert_allclose(scores[np.arange(len(x)), got], least, atol=1e-3)
    assert (got == scores.argmin(axis=1)).mean() > 0.99


@pytest.mark.parametrize("dim", [1, 3, 17, 128])
def test_predict_is_exact_on_integers(rng, dim):
    """Rows that are centroids: k = n leaves each where it is. Equal rows: the first one wins."""
    x = rng.integers(-3, 4, (300, dim)).astype(np.float32)
    model = ak.KMeans(300, rounds=1, sample=0).fit(x)
    c = model.centroids_
    queries = rng.integers(-3, 4, (1000, dim)).astype(np.float32)
    whole = (c == np.rint(c)).all(axis=1)
    scores = (c.astype(np.float64) ** 2).sum(axis=1) - 2 * queries @ c.astype(np.float64).T
    got = model.predict(queries)
    want = scores.argmin(axis=1)
    both = whole[got] & whole[want]
    assert both.mean() > 0.5
    np.testing.assert_array_equal(got[both], want[both])


@pytest.mark.parametrize("options", [{}, {"start": "k-means++"}, {"spherical": True}, {"balance": 0.3}, {"sample": 5}])
@pytest.mark.parametrize("dim", [5, 48])
def test_threads_do_not_matter(rng, options, dim):
    x = blobs(rng, 20000, dim, 500, 1.0)
    models = [ak.KMeans(200, **options).fit(x, threads=threads) for threads in (1, 2, 3)]
    for other in models[1:]:
        assert other.centroids_.tobytes() == models[0].centroids_.tobytes()
        assert other.objective_.tobytes() == models[0].objective_.tobytes()
        np.testing.assert_array_equal(other.predict(x, threads=3), models[0].predict(x, threads=1))


def test_batches_do_not_matter(rng):
    x = rng.standard_normal((5000, 33)).astype(np.float32)
    model = ak.KMeans(100).fit(x)
    whole = model.predict(x)
    np.testing.assert_array_equal(whole, np.concatenate([model.predict(part) for part in np.array_split(x, 37)]))
    np.testing.assert_array_equal(whole[7], model.predict(x[7])[0])


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("kind", HARD)
def test_bytes_that_filter_change_no_answer(rng, kind, spherical):
    """Large batches against many centroids are filtered in bytes, small ones are not."""
    x = HARD[kind](rng, 4000).astype(np.float32)
    model = ak.KMeans(800, rounds=1, spherical=spherical).fit(x)
    apart = np.concatenate([model.predict(part) for part in np.array_split(x, 20)])
    np.testing.assert_array_equal(model.predict(x), apart)
    np.testing.assert_array_equal(model.predict(x[:1100], threads=2), apart[:1100])


def test_strides_and_types_do_not_matter(rng):
    x = rng.integers(0, 200, (4000, 40)).astype(np.uint8)
    want = ak.KMeans(80, seed=3).fit(x).centroids_
    wide = np.zeros((8000, 80), np.float32)
    wide[::2, ::2] = x
    for other in (x.astype(np.float64), np.asfortranarray(x.astype(np.float32)), wide[::2, ::2], x[::-1].copy()[::-1]):
        assert ak.KMeans(80, seed=3).fit(other).centroids_.tobytes() == want.tobytes()


def test_seeds_differ_and_repeat(rng):
    x = rng.standard_normal((4000, 16)).astype(np.float32)
    one, again, other = (ak.KMeans(50, seed=s).fit(x).centroids_ for s in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("dim", [4, 64])
@pytest.mark.parametrize("start", ["random", "k-means++"])
def test_equal_rows(dim, start):
    x = np.full((10000, dim), 3.25, np.float32)
    model = ak.KMeans(100, start=start).fit(x)
    np.testing.assert_array_equal(model.centroids_, np.full((100, dim), 3.25))
    assert model.objective_[-1] == 0
    assert (model.predict(x) == 0).all()


def test_few_different_rows_all_become_centroids(rng):
    for dim in (3, 64):
        kinds = (rng.standard_normal((60, dim)) * 5).astype(np.float32)
        x = kinds[rng.integers(0, 60, 20000)]
        model = ak.KMeans(100, rounds=30).fit(x)
        assert cost(x, model.centroids_) <= 1e-6 * cost(x, x.mean(axis=0, keepdims=True))


def test_no_cell_stays_empty(rng):
    x = np.concatenate([blobs(rng, 3000, 8, 4, 0.01), rng.standard_normal((30, 8)).astype(np.float32) * 50])
    model = ak.KMeans(64, sample=0, rounds=20).fit(x)
    assert (np.bincount(model.predict(x), minlength=64) > 0).all()


@pytest.mark.parametrize("dim", [6, 48])
def test_constant_dimensions_and_large_values(rng, dim):
    x = blobs(rng, 4000, dim, 70, 3.0)
    x[:, 1] = 7.5
    model = ak.KMeans(70).fit(x)
    np.testing.assert_array_equal(model.centroids_[:, 1], np.full(70, 7.5))
    for scale in (2.0**-50, 2.0**-20, 2.0**50):
        scaled = ak.KMeans(70).fit(x * np.float32(scale))
        assert cost(x, scaled.centroids_ / np.float32(scale)) <= 1.02 * cost(x, model.centroids_)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_one_dimension_that_dwarfs_the_others(rng):
    """Rounded to bytes, the others would vanish."""
    x = blobs(rng, 8000, 32, 64, 2.0)
    x[:, 0] = rng.choice([-1e4, 1e4], 8000)
    ours = ak.KMeans(128, sample=0, rounds=20).fit(x)
    peer = Peer(128, init="random", n_init=1, max_iter=20, random_state=0).fit(x)
    assert cost(x, ours.centroids_) <= 1.03 * peer.inertia_


def test_rows_far_from_the_origin(rng):
    x = blobs(rng, 8000, 32, 64, 0.5)
    near = cost(x, ak.KMeans(64, sample=0, rounds=20).fit(x).centroids_)
    moved = x + np.float32(1000)
    assert cost(moved, ak.KMeans(64, sample=0, rounds=20).fit(moved).centroids_) <= 1.1 * near


def test_as_many_centroids_as_rows(rng):
    x = rng.standard_normal((100, 20)).astype(np.float32)
    model = ak.KMeans(100).fit(x)
    assert model.objective_[-1] == 0
    np.testing.assert_array_equal(np.sort(model.predict(x)), np.arange(100))


def test_spherical_centroids_have_length_one(rng):
    for dim in (6, 48):
        x = blobs(rng, 5000, dim, 80) * rng.uniform(0.1, 10, (5000, 1)).astype(np.float32)
        model = ak.KMeans(80, spherical=True, rounds=20, sample=0).fit(x)
        np.testing.assert_allclose(np.linalg.norm(model.centroids_, axis=1), 1, rtol=1e-6)
        assert (np.diff(model.objective_) <= 1e-5 * abs(model.objective_[0])).all()
        best = (x.astype(np.float64) @ model.centroids_.T.astype(np.float64)).max(axis=1).sum()
        assert -best == pytest.approx(model.objective_[-1], rel=0.01)


@pytest.mark.parametrize("dim", [6, 48])
def test_balance_evens_cells_out(rng, dim):
    sizes = rng.zipf(1.5, 200).clip(1, 2000)
    x = np.concatenate([rng.standard_normal(dim) + rng.standard_normal((n, dim)) for n in sizes]).astype(np.float32)
    spread, costs = [], []
    for balance in (0.0, 0.3, 1.0):
        model = ak.KMeans(64, balance=balance, sample=0).fit(x)
        spread.append(np.bincount(model.predict(x), minlength=64).std())
        costs.append(model.objective_[-1])
    assert spread[2] < spread[1] < spread[0]
    assert costs[2] < 1.2 * costs[0]


def test_a_sample_reads_few_rows(rng):
    x = rng.standard_normal((20000, 4)).astype(np.float32)
    model = ak.KMeans(10, sample=50).fit(x)
    assert model.objective_[-1] < 5 * 500 * 4
    x[::3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        ak.KMeans(10, sample=50).fit(x)


@pytest.mark.parametrize("name", [name for name in ak.simd.levels() if name != ak.simd.level()])
def test_other_levels_are_as_good(rng, name, tmp_path):
    x = blobs(rng, 6000, 40, 100, 1.0)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, annkit as ak; x = np.load(sys.argv[1] + '/x.npy');"
        "m = ak.KMeans(80, sample=0).fit(x); np.save(sys.argv[1] + '/c.npy', m.centroids_);"
        "np.save(sys.argv[1] + '/p.npy', m.predict(x)); print(ak.simd.level())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "ANNKIT_SIMD": name},
    )
    assert done.stdout.strip() == name
    centroids, got = np.load(tmp_path / "c.npy"), np.load(tmp_path / "p.npy")
    assert cost(x, centroids) <= 1.02 * cost(x, ak.KMeans(80, sample=0).fit(x).centroids_)
    scores = ((x[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)
    np.testing.assert_allclose(scores[np.arange(len(x)), got], scores.min(axis=1), rtol=1e-5)


@pytest.mark.parametrize("offset", [0, 100, 1e4, 1e6])
@pytest.mark.parametrize(("dim", "k"), [(3, 40), (32, 64), (96, 600)])
def test_rows_far_from_the_origin_go_to_their_nearest_centroid(rng, offset, dim, k):
    x = (rng.standard_normal((3000, dim)) + offset).astype(np.float32)
    model = ak.KMeans(k, rounds=3, sample=0).fit(x)
    scores = cdist(x.astype(np.float64), model.centroids_.astype(np.float64), "sqeuclidean")
    for got in (model.predict(x), pickle.loads(pickle.dumps(model)).predict(x[::-1])[::-1]):
        beyond = scores[np.arange(len(x)), got] - scores.min(axis=1)
        assert beyond.max() < (1e-6 if offset >= 1e4 else 1e-3) * dim
    for rows in (x[:1], x[:0], x[:50].astype(np.float64)):
        np.testing.assert_array_equal(model.predict(rows), model.predict(x)[: len(rows)])
    near = cost(x, ak.KMeans(k, rounds=3, sample=0).fit(x - np.float32(offset)).centroids_ + np.float32(offset))
    assert cost(x, model.centroids_) <= 1.03 * near
