"""Decompositions against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest

import annkit as ak
from annkit._core import _math as math


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 100])
def test_eigenvectors_of_symmetric_matrices(rng, n):
    a = rng.standard_normal((n, n))
    a = a + a.T
    values, vectors = math.symmetric_eigen(a)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1], atol=1e-10 * n)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n), atol=1e-10)
    np.testing.assert_allclose(vectors.T * values @ vectors, a, atol=1e-10 * n)


def test_only_the_lower_half_is_read(rng):
    a = rng.standard_normal((9, 9))
    a = a + a.T
    for wanted in (9, 4):
        values, _ = math.symmetric_eigen(np.tril(a), wanted)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1][:wanted], atol=1e-10)


def spectra():
    rng = np.random.default_rng(8)
    falling = np.arange(1, 121) ** -1.5
    return {
        "falling": falling,
        "steep": 10.0 ** -np.arange(120),
        "both signs": rng.standard_normal(120),
        "equal": np.ones(120),
        "twice each": np.repeat(falling[:60], 2),
        "nearly equal": 1 + 1e-14 * np.arange(120),
        "few": np.where(np.arange(120) < 5, 1.0, 0.0),
        "nothing": np.zeros(120),
        "huge": 1e150 * falling,
        "tiny": 1e-150 * falling,
    }


@pytest.mark.parametrize("basis", ["dense", "blocks", "axes"])
@pytest.mark.parametrize("kind", spectra())
def test_eigenvectors_of_spectra_of_every_kind(rng, kind, basis):
    values = np.sort(spectra()[kind])[::-1]
    q = np.eye(120)
    if basis != "axes":
        half = 120 if basis == "dense" else 60
        for first in range(0, 120, half):
            part = slice(first, first + half)
            q[part, part] = np.linalg.qr(rng.standard_normal((half, half)))[0]
    a = q.T * rng.permutation(values) @ q
    size = abs(values).max() or 1.0
    for wanted in (1, 7, 60, 120):
        got, vectors = math.symmetric_eigen(a, wanted)
        assert (got.shape, vectors.shape) == ((wanted,), (wanted, 120))
        np.testing.assert_allclose(got / size, values[:wanted] / size, atol=1e-13)
        np.testing.assert_allclose(vectors @ vectors.T, np.eye(wanted), atol=1e-12)
        np.testing.assert_allclose(vectors @ (a / size), vectors * (got / size)[:, None], atol=1e-12)


@pytest.mark.parametrize("n", [181, 260, 403])
@pytest.mark.parametrize("few", [True, False])
def test_eigenvectors_are_the_same_by_any_number_of_threads(rng, n, few):
    a = rng.standard_normal((n, n)) * np.arange(1, n + 1) ** -0.7
    a = a.T @ a
    wanted = 20 if few else n
    values, vectors = math.symmetric_eigen(a, wanted, threads=1)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1][:wanted], atol=1e-12 * values[0])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(wanted), atol=1e-12)
    np.testing.assert_allclose(vectors @ a, vectors * values[:, None], atol=1e-11 * values[0])
    for threads in (2, 3, 5):
        by_more = math.symmetric_eigen(a, wanted, threads=threads)
        assert np.array_equal(by_more[0], values)
        assert np.array_equal(by_more[1], vectors)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_one_eigenvector_of_a_small_matrix(rng, n):
    a = rng.standard_normal((n, n))
    a = a @ a.T
    (value,), (vector,) = math.symmetric_eigen(a, 1)
    np.testing.assert_allclose(a @ vector, value * vector, atol=1e-12)


@pytest.mark.parametrize(("n", "wanted"), [(1, 1), (5, 5), (40, 7), (41, 40)])
def test_generalised_eigenvectors_are_those_of_scipy(rng, n, wanted):
    linalg = pytest.importorskip("scipy.linalg")
    a, b = rng.standard_normal((n, 2)), rng.standard_normal((n, n))
    a, b = a @ a.T + np.diag(rng.random(n)), b @ b.T + 0.1 * np.eye(n)
    expected, directions = linalg.eigh(a, b)
    values, vectors = math.generalised_eigen(np.tril(a), np.tril(b), wanted)
    np.testing.assert_allclose(values, expected[::-1][:wanted], rtol=1e-8)
    np.testing.assert_allclose(vectors @ b @ vectors.T, np.eye(wanted), atol=1e-8)
    same = np.abs(vectors @ b @ directions[:, ::-1][:, :wanted])
    np.testing.assert_allclose(same, np.eye(wanted), atol=1e-6)
    with pytest.raises(ValueError, match="not positive definite"):
        math.generalised_eigen(a, -b, wanted)


@pytest.mark.parametrize("shape", [(7, 7), (30, 4), (4, 30), (1, 5), (64, 64), (150, 130), (130, 150)])
def test_polar_factor_is_that_of_the_singular_vectors(rng, shape):
    left, _, right = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    values = np.linspace(1, 0.05, min(shape))
    got = math.polar_factor((left * values @ right).astype(np.float32), 0.001)
    np.testing.assert_allclose(got, left @ right, atol=2e-5)


@pytest.mark.parametrize("least", [1 / 2.9, 0.9])
def test_polar_factor_of_a_matrix_whose_largest_value_is_known(rng, least):
    left, _, right = np.linalg.svd(rng.standard_normal((70, 70)))
    values = np.linspace(2.9, 1, 70)  # with 0.9 some are smaller than they should be
    got = math.polar_factor((left * values @ right).astype(np.float32), least, 2.9)
    np.testing.assert_allclose(got, left @ right, atol=2e-5)


@pytest.mark.parametrize("shape", [(150, 130), (130, 150), (300, 300)])
@pytest.mark.usefixtures("restore_threads")
def test_polar_factor_is_the_same_for_any_number_of_threads(rng, shape):
    x = rng.standard_normal(shape).astype(np.float32)
    found = []
    for threads in (1, 2, 3):
        ak.set_threads(threads)
        found.append(math.polar_factor(x, 0.001))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
