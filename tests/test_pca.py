"""PCA against NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from transform_rows import rows_of

import annkit as ak


@pytest.mark.parametrize(
    ("n", "dim", "keep"), [(100, 5, 5), (40, 40, 40), (3000, 64, 10), (20, 200, 20), (500, 130, 65)]
)
def test_pca_is_that_of_scikit_learn(rng, n, dim, keep):
    decomposition = pytest.importorskip("sklearn.decomposition")
    x = rows_of(rng, n, dim)
    peer = decomposition.PCA(keep, svd_solver="full").fit(x.astype(np.float64))
    pca = ak.PCA(keep).fit(x)
    np.testing.assert_allclose(pca.mean_, peer.mean_, rtol=1e-5, atol=1e-6)
    largest = peer.explained_variance_[0]
    np.testing.assert_allclose(pca.explained_variance_, peer.explained_variance_, rtol=1e-4, atol=1e-6 * largest)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(keep), atol=2e-6)
    # Directions are compared by what they keep, as those of close variances are free to mix.
    kept = np.var(pca.apply(x).astype(np.float64), axis=0, ddof=1)
    np.testing.assert_allclose(kept, peer.explained_variance_, rtol=1e-3, atol=1e-5 * largest)
    rest = np.sum((pca.invert(pca.apply(x)) - x.astype(np.float64)) ** 2)
    wanted = np.sum((peer.inverse_transform(peer.transform(x)) - x) ** 2)
    assert rest <= wanted * 1.001 + 1e-5 * np.sum(x.astype(np.float64) ** 2)


def test_whitened_components_have_variance_one(rng):
    x = rows_of(rng, 4000, 24)
    y = ak.PCA(24, whiten=True).fit(x).apply(x)
    np.testing.assert_allclose(np.cov(y.T), np.eye(24), atol=2e-2)
    half = ak.PCA(24, whiten=0.5).fit(x)
    np.testing.assert_allclose(np.var(half.apply(x), axis=0), half.explained_variance_**0.5, rtol=2e-2)


@pytest.mark.parametrize("whiten", [False, True])
def test_constant_dimensions_and_low_rank_stay_finite(rng, whiten):
    x = np.zeros((100, 12), np.float32)
    x[:, :2] = rng.standard_normal((100, 2))
    x[:, 5] = x[:, 0] + x[:, 1]
    x[:, 7] = 4
    for rows in (x, x[:, 6:], np.zeros((20, 12), np.float32), x * 1e17, x * 1e-17):
        pca = ak.PCA(rows.shape[1], whiten=whiten).fit(rows)
        y = pca.apply(rows)
        assert np.isfinite(y).all()
        tolerance = 1e-4 * max(np.abs(rows).max(), 1e-30)
        np.testing.assert_allclose(pca.invert(y), rows, atol=tolerance)


def test_huge_and_tiny_rows_have_their_components(rng):
    x = rows_of(rng, 500, 8)
    wanted = ak.PCA(8).fit(x)
    for scale in (2.0**50, 2.0**-50):
        pca = ak.PCA(8).fit(x * np.float32(scale))
        np.testing.assert_allclose(pca.components_, wanted.components_, atol=1e-4)
        np.testing.assert_allclose(pca.explained_variance_, wanted.explained_variance_ * scale**2, rtol=1e-4)


@pytest.mark.parametrize("kind", ["offset", "sorted", "late", "one far", "one alone", "tiny but one", "doubles"])
def test_pca_of_many_rows_whose_first_look_misleads(rng, kind):
    """The covariance is summed in one pass, less the mean of some rows that may be unlike the others."""
    x = rows_of(rng, 20_003, 20)
    if kind == "offset":
        x += 1000
    elif kind == "sorted":
        x[:, 0] = np.linspace(-3, 30, len(x)) ** 3
    elif kind == "late":
        x[:10_000] = 0
        x[10_000:] *= 1e-25
    elif kind == "one far":
        x[777] *= 1e14
    elif kind == "one alone":
        x[:777], x[778:] = 0, 0
        x[777] *= 1e-25
    elif kind == "tiny but one":
        x *= 1e-25
        x[777] *= 1e25
    given = x.astype(np.float64)[::-1] if kind == "doubles" else x
    wanted = np.cov(x.astype(np.float64).T)
    pca = ak.PCA(20).fit(given)
    np.testing.assert_allclose(pca.mean_, x.astype(np.float64).mean(axis=0), rtol=1e-5, atol=1e-6 * abs(x).max())
    got = pca.components_.T * pca.explained_variance_ @ pca.components_
    np.testing.assert_allclose(got, wanted, atol=2e-5 * abs(wanted).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e19])
def test_pca_names_the_row_that_is_not_finite(rng, dtype, value):
    x = rows_of(rng, 5000, 20).astype(dtype)
    for row in (0, 1023, 1024, 4999):
        bad = x.copy()
        bad[row, 7] = value
        with pytest.raises(ValueError, match=rf"row {row}\b"):
            ak.PCA(4).fit(bad)


def test_pca_refuses_a_nan_beyond_its_sample(rng):
    x = rows_of(rng, 150_000, 4)  # a third is not learned from
    for row in (*range(6), 75_000, 75_001, 75_002, *range(149_994, 150_000)):
        bad = x.copy()
        bad[row, 2] = np.nan
        with pytest.raises(ValueError, match=rf"row {row}\b"):
            ak.PCA(2).fit(bad)


@pytest.mark.parametrize(("dim", "groups"), [(32, 4), (32, 32), (24, 3), (20, 1)])
def test_balance_evens_the_products_of_variances(rng, dim, groups):
    x = (rng.standard_normal((5000, 32)) * 0.8 ** np.arange(32)).astype(np.float32)
    plain, balanced = ak.PCA(dim).fit(x), ak.PCA(dim, balance=groups).fit(x)
    np.testing.assert_allclose(
        np.sort(plain.explained_variance_), np.sort(balanced.explained_variance_), rtol=1e-6, atol=0
    )
    for a, variance in zip(balanced.components_, balanced.explained_variance_, strict=True):
        row = plain.components_[np.argmin(np.abs(plain.explained_variance_ - variance))]
        np.testing.assert_array_equal(a, row)

    def spread(pca):
        return np.ptp(np.log(pca.explained_variance_).reshape(groups, -1).sum(axis=1))

    assert spread(balanced) <= max(0.2 * spread(plain), np.ptp(np.log(plain.explained_variance_)) * (groups == dim))


def test_large_inputs_are_sampled_by_the_seed(rng):
    x = (rng.standard_normal((150_000, 2)) * [1, 3]).astype(np.float32)
    first, again, other = (ak.PCA(2).fit(x, seed=seed) for seed in (1, 1, 2))
    assert first.to_bytes() == again.to_bytes()
    assert first.to_bytes() != other.to_bytes()
    np.testing.assert_allclose(first.explained_variance_, [9, 1], rtol=0.05)


@pytest.mark.parametrize(("n", "dim"), [(9000, 64), (2500, 300)])
def test_threads_change_no_bit_of_narrow_and_wide_rows(rng, n, dim):
    x = rows_of(rng, n, dim)
    wanted = ak.PCA(32).fit(x, threads=1)
    np.testing.assert_allclose(wanted.mean_, x.mean(axis=0, dtype=np.float64), atol=1e-5)
    variances = np.linalg.eigvalsh(np.cov(x.T, dtype=np.float64))[::-1][:32]
    np.testing.assert_allclose(wanted.explained_variance_, variances, rtol=1e-5)
    for threads in (2, 3, 7):
        assert ak.PCA(32).fit(x, threads=threads).to_bytes() == wanted.to_bytes()
