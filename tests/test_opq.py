"""OPQ: what the rotation is for, and that it is one."""

from __future__ import annotations

import numpy as np
import pytest
from transform_rows import rows_of

import annkit as ak


def pq_error(x, matrix, m, bits):
    """Return what Faiss's product quantization errs by a row behind an orthogonal matrix."""
    faiss = pytest.importorskip("faiss")
    y = np.ascontiguousarray(x @ matrix.T)
    pq = faiss.ProductQuantizer(y.shape[1], m, bits)
    pq.train(y)
    return np.sum((y - pq.decode(pq.compute_codes(y))) ** 2, axis=1).mean()


@pytest.mark.parametrize(("dim", "m"), [(16, 4), (24, 3), (32, 16)])
def test_opq_makes_product_quantization_err_less(rng, dim, m):
    x = rows_of(rng, 4000, dim)
    plain, start, full = (
        pq_error(x, matrix, m, 4)
        for matrix in (np.eye(dim, dtype=np.float32), ak.OPQ(m, rounds=0).fit(x).matrix_, ak.OPQ(m).fit(x).matrix_)
    )
    assert full < 0.9 * plain
    assert full < 1.01 * start


def test_opq_is_no_worse_than_that_of_faiss(rng):
    faiss = pytest.importorskip("faiss")
    x = rows_of(rng, 5000, 32)
    peer = faiss.OPQMatrix(32, 8)
    peer.pq = faiss.ProductQuantizer(32, 8, 4)
    peer.train(x)
    theirs = pq_error(x, faiss.vector_to_array(peer.A).reshape(32, 32), 8, 4)
    assert pq_error(x, ak.OPQ(8).fit(x).matrix_, 8, 4) <= 1.005 * theirs


def test_opq_keeps_dimensions_that_are_groups_already(rng):
    """Each group is one of 16 points, and the groups are independent: whatever mixes them loses."""
    points = rng.standard_normal((4, 16, 4)) * 3
    x = np.concatenate([points[g][rng.integers(0, 16, 3000)] for g in range(4)], axis=1).astype(np.float32)
    blocks = (ak.OPQ(4).fit(x).matrix_.reshape(4, 4, 4, 4) ** 2).sum(axis=(1, 3))
    np.testing.assert_allclose(blocks, 4 * np.eye(4), atol=0.1)


@pytest.mark.parametrize("options", [{}, {"dim": 12}, {"rounds": 0}, {"bits": 5, "rounds": 2}])
def test_opq_is_orthonormal(rng, options):
    x = rows_of(rng, 600, 24)
    opq = ak.OPQ(6, **options).fit(x, seed=9)
    np.testing.assert_allclose(opq.matrix_ @ opq.matrix_.T, np.eye(opq.dim_out), atol=3e-6)
    y = opq.apply(x)
    np.testing.assert_allclose(y, x @ opq.matrix_.T, atol=1e-4)
    np.testing.assert_allclose(opq.apply(opq.invert(y)), y, atol=1e-3)
    assert opq.to_bytes() == ak.OPQ(6, **options).fit(x, seed=9, threads=2).to_bytes()


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e16])
def test_opq_takes_rows_of_low_rank_and_any_scale(rng, scale):
    x = np.zeros((300, 16), np.float32)
    x[:, :3] = rng.standard_normal((300, 3)) * scale
    for rows in (x, np.zeros_like(x), np.full_like(x, 3 * scale)):
        matrix = ak.OPQ(4).fit(rows).matrix_
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(16), atol=3e-6)


def test_opq_errors():
    for call, message in (
        (lambda: ak.OPQ(0), "m is 0"),
        (lambda: ak.OPQ(4, dim=6), "dim is 6, expected a multiple of m"),
        (lambda: ak.OPQ(4, bits=3), "3 bits"),
        (lambda: ak.OPQ(4, rounds=2000), "rounds is 2000"),
        (lambda: ak.OPQ(4).fit(np.ones((40, 6))), "dimension 6, expected a multiple of 4"),
        (lambda: ak.OPQ(4, dim=12).fit(np.ones((40, 8))), "dimension 8, expected at least 12"),
        (lambda: ak.OPQ(4).fit(np.ones((15, 8))), "got 15 rows to fit, expected at least 16"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="rounds is a str"):
        ak.OPQ(4, rounds="3")
