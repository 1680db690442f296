"""Random rotations."""

from __future__ import annotations

import numpy as np
import pytest

import annkit as ak


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 16, 17, 31, 63, 64, 65, 100, 127, 128, 384, 500])
@pytest.mark.parametrize("kind", ["random", "hadamard"])
def test_rotations_are_orthogonal(rng, dim, kind):
    rotation = ak.Rotation(kind=kind).fit(np.zeros((1, dim)), seed=5)
    matrix = rotation.apply(np.eye(dim))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=2e-6)
    x = rng.standard_normal((20, dim)).astype(np.float32)
    y = rotation.apply(x)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), rtol=1e-5)
    np.testing.assert_allclose(rotation.invert(y), x, atol=2e-5)
    other = ak.Rotation(kind=kind).fit(np.zeros((1, dim)), seed=6).apply(np.eye(dim))
    assert dim < 5 or not np.allclose(matrix, other, atol=0.01)


@pytest.mark.parametrize("dim", [64, 96, 100, 127, 129, 255, 300, 384])
@pytest.mark.parametrize("kind", ["random", "hadamard"])
def test_rotations_spread_single_entries_as_gaussians(dim, kind):
    """The entries of a uniform rotation have variance 1 / dim and a kurtosis close to 3."""
    scaled = ak.Rotation(kind=kind).fit(np.zeros((1, dim))).apply(np.eye(dim)) * np.sqrt(dim)
    assert np.abs(scaled).max() < 6.5
    assert (np.mean(scaled**4, axis=1) < 8).all()
    assert (np.mean(scaled**4, axis=0) < 8).all()
    assert np.mean(scaled**4) < 3.5


def test_rotations_are_uniform():
    """Moments of Haar's measure: no axis and no orientation is preferred."""
    eye, some = np.eye(3), np.empty((3000, 3, 3))
    for seed in range(3000):
        some[seed] = ak.Rotation().fit(eye, seed=seed).apply(eye)
    np.testing.assert_allclose(some.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((some**2).mean(axis=0), 1 / 3, atol=0.03)
    np.testing.assert_allclose((some**4).mean(axis=0), 1 / 5, atol=0.03)
    assert abs(np.linalg.det(some).mean()) < 0.08
    assert abs(np.trace(some, axis1=1, axis2=2).var() - 1) < 0.15


def test_a_rotation_to_fewer_dimensions_keeps_orthonormal_rows(rng):
    for kind in ("random", "hadamard"):
        rotation = ak.Rotation(20, kind=kind).fit(np.zeros((1, 50)))
        matrix = rotation.apply(np.eye(50)).T
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(20), atol=2e-6)
        y = rng.standard_normal((5, 20)).astype(np.float32)
        np.testing.assert_allclose(rotation.apply(rotation.invert(y)), y, atol=1e-5)
    with pytest.raises(ValueError, match="rows of dimension 19, expected at least 20"):
        ak.Rotation(20).fit(np.zeros((1, 19)))
