"""Transforms against NumPy and scikit-learn: values, orthogonality, independence of threads and batches, storage."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import annkit as ak

# Every transform that takes rows of 24 dimensions.
ALL = [
    lambda: ak.Center(),
    lambda: ak.Normalize(),
    lambda: ak.Projection(40),
    lambda: ak.Projection(7),
    lambda: ak.Rotation(),
    lambda: ak.Rotation(10),
    lambda: ak.Rotation(kind="hadamard"),
    lambda: ak.Rotation(10, kind="hadamard"),
    lambda: ak.PCA(24),
    lambda: ak.PCA(5),
    lambda: ak.PCA(24, whiten=True),
    lambda: ak.PCA(12, whiten=0.5, balance=4),
    lambda: ak.OPQ(4, rounds=5),
    lambda: ak.OPQ(3, dim=12, bits=5, rounds=2),
]
LEARNS = [make for make in ALL if not make().is_fitted]
every = pytest.mark.parametrize("make", ALL, ids=lambda make: repr(make()))
learning = pytest.mark.parametrize("make", LEARNS, ids=lambda make: repr(make()))


def rows_of(rng, n, dim):
    """Return correlated rows whose mean is far from zero and whose variances fall."""
    mix = rng.standard_normal((dim, dim)) * 0.9 ** np.arange(dim)
    return (rng.standard_normal((n, dim)) @ mix.T + 3 * rng.standard_normal(dim)).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 8, 15, 16, 17, 33, 47, 64, 96, 100, 129, 300, 512])
def test_products_are_those_of_numpy(rng, dim):
    x = rng.standard_normal((101, dim)).astype(np.float32)
    for outputs in (1, dim, 2 * dim + 3):
        projection = ak.Projection(outputs).fit(x)
        assert projection.matrix_.shape == (outputs, dim)
        wanted = x.astype(np.float64) @ projection.matrix_.T.astype(np.float64)
        room = np.abs(x).astype(np.float64) @ np.abs(projection.matrix_.T) * (dim + 2) * 2.0**-24
        assert (np.abs(projection.apply(x) - wanted) <= room).all()


@every
def test_a_row_alone_gives_the_same_bits_as_in_a_batch(rng, make):
    x = rows_of(rng, 100, 24)
    transform = make().fit(x)
    whole = transform.apply(x)
    for n in (1, 2, 3, 4, 5, 11, 12, 13, 25, 99):
        np.testing.assert_array_equal(transform.apply(x[:n]), whole[:n])
        np.testing.assert_array_equal(transform.apply(x[100 - n :]), whole[100 - n :])
    np.testing.assert_array_equal(transform.apply(x[7]), whole[7:8])
    assert transform.apply(x[:0]).shape == (0, whole.shape[1])


@every
def test_threads_change_no_bit(rng, make):
    x = rows_of(rng, 6000, 24)
    one, two = make().fit(x, seed=3, threads=1), make().fit(x, seed=3, threads=2)
    assert one.to_bytes() == two.to_bytes()
    np.testing.assert_array_equal(one.apply(x, threads=1), one.apply(x, threads=3))


@every
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int8])
def test_dtypes_and_strides_are_those_of_float32(rng, make, dtype):
    x = np.abs(rows_of(rng, 80, 48) * 4).clip(0, 100).astype(dtype)[::2, ::2]
    as_float = np.ascontiguousarray(x, np.float32)
    given, wanted = make().fit(x), make().fit(as_float)
    assert given.to_bytes() == wanted.to_bytes()
    np.testing.assert_array_equal(given.apply(x), wanted.apply(as_float))


@every
def test_copies_and_pickles_do_the_same(rng, make):
    x = rows_of(rng, 50, 24)
    for transform in (make(), make().fit(x)):
        for twin in (copy.copy(transform), copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
            assert type(twin) is type(transform)
            assert repr(twin) == repr(transform)
            assert (twin.dim_in, twin.dim_out) == (transform.dim_in, transform.dim_out)
            assert twin.is_fitted == transform.is_fitted
            if transform.is_fitted:
                np.testing.assert_array_equal(twin.apply(x), transform.apply(x))


@every
def test_repr_is_the_constructor_call(rng, make):
    assert repr(eval(repr(make()), {**vars(ak)})) == repr(make())


@learning
def test_nothing_works_before_fit(make):
    transform = make()
    assert not transform.is_fitted
    for call in (lambda: transform.apply(np.ones((1, 24))), lambda: transform.invert(np.ones((1, 24)))):
        with pytest.raises(ak.NotFittedError, match="call fit"):
            call()
    learned = [name for name in dir(transform) if name.endswith("_") and not name.startswith("_")]
    for name in learned:
        with pytest.raises(ak.NotFittedError):
            getattr(transform, name)


@learning
def test_other_dimensions_are_refused(rng, make):
    transform = make().fit(rows_of(rng, 50, 24))
    with pytest.raises(ValueError, match=r"dimension 23, .* expects 24"):
        transform.apply(np.ones((2, 23)))
    if not isinstance(transform, ak.Projection):
        with pytest.raises(ValueError, match="dimension 50"):
            transform.invert(np.ones((2, 50)))


@every
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_values_that_are_not_finite_are_refused(rng, make, bad):
    x = rows_of(rng, 1000, 24)
    transform = make().fit(x)
    x[700, 3] = bad
    with pytest.raises(ValueError, match="row 700"):
        transform.apply(x)
    if isinstance(transform, ak.PCA | ak.Center | ak.OPQ):
        before = transform.to_bytes()
        with pytest.raises(ValueError, match="row 700"):
            transform.fit(x)
        assert transform.to_bytes() == before


@every
def test_every_cut_and_damage_of_the_bytes_is_an_error(rng, make):
    data = make().fit(rows_of(rng, 50, 24)).to_bytes()
    for end in range(0, len(data), 37):
        with pytest.raises(ak.FormatError):
            ak.Transform.from_bytes(data[:end])
    with pytest.raises(ak.FormatError):
        ak.Transform.from_bytes(ak.Flat().to_bytes())
    with pytest.raises(ak.FormatError):
        ak.Index.from_bytes(data)


@pytest.mark.parametrize("make", [make for make in ALL if make().dim_out in (0, 24)], ids=lambda make: repr(make()))
def test_invert_undoes_apply(rng, make):
    x = rows_of(rng, 300, 24)
    transform = make().fit(x)
    if isinstance(transform, ak.Normalize):
        with pytest.raises(ValueError, match="cannot be inverted"):
            transform.invert(x)
        return
    np.testing.assert_allclose(transform.invert(transform.apply(x)), x, atol=2e-3)


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


def test_projections_keep_distances(rng):
    x = rng.standard_normal((200, 300)).astype(np.float32)
    y = ak.Projection(256).fit(x).apply(x)
    ratio = np.sum((y[:100] - y[100:]) ** 2, axis=1) / np.sum((x[:100] - x[100:]) ** 2, axis=1)
    assert abs(ratio.mean() - 1) < 0.05
    assert ratio.std() < 0.13


def test_center_and_normalize(rng):
    x = rows_of(rng, 5000, 24)
    center = ak.Center().fit(x)
    np.testing.assert_allclose(center.mean_, x.astype(np.float64).mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(center.apply(x), x - center.mean_)
    y = ak.Normalize().apply(x)
    np.testing.assert_allclose(y, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-20, 1e17])
def test_normalize_takes_tiny_and_huge_rows(scale):
    x = (np.array([[3.0, 4.0], [0.0, 0.0], [-8.0, 6.0]]) * scale).astype(np.float32)
    np.testing.assert_allclose(ak.Normalize().apply(x), [[0.6, 0.8], [0, 0], [-0.8, 0.6]], rtol=1e-4)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ak.PCA(0), "dim is 0"),
        (lambda: ak.PCA(1 << 20), "dim is 1048576"),
        (lambda: ak.PCA(8, whiten=2.0), "whiten is 2"),
        (lambda: ak.PCA(8, whiten=float("nan")), "whiten is nan"),
        (lambda: ak.PCA(8, balance=3), "balance is 3"),
        (lambda: ak.Projection(0), "dim is 0"),
        (lambda: ak.Rotation(0), "dim is 0"),
        (lambda: ak.Rotation(kind="givens"), "kind is"),
        (lambda: ak.PCA(8).fit(np.ones((7, 8))), "got 7 rows to fit, expected at least 8"),
        (lambda: ak.PCA(1).fit(np.ones((1, 8))), "got 1 rows to fit, expected at least 2"),
        (lambda: ak.PCA(9).fit(np.ones((70, 8))), "dimension 8, expected at least 9"),
        (lambda: ak.Center().fit(np.ones((0, 8))), "got 0 rows to fit, expected at least 1"),
        (lambda: ak.Rotation().fit(np.ones((2, 70_000))), "dimension 70000"),
        (lambda: ak.Rotation().fit(np.ones((2, 7)), seed=-1), "seed is -1"),
    ],
)
def test_errors_name_what_was_seen(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ak.PCA("8"),
        lambda: ak.PCA(8, whiten="yes"),
        lambda: ak.Rotation().fit(np.ones((2, 7)), seed="1"),
        lambda: ak.Rotation().fit("rows"),
        lambda: ak.Transform(),
    ],
)
def test_other_types_are_type_errors(call):
    with pytest.raises(TypeError):
        call()


PROGRAM = """
import numpy as np, annkit as ak, sys
x = np.load(sys.argv[1])
out = [t.fit(x).apply(x) for t in (ak.Center(), ak.Normalize(), ak.Projection(30), ak.Rotation(),
       ak.Rotation(kind="hadamard"), ak.PCA(6))]
np.save(sys.argv[2], np.concatenate(out, axis=1))
"""


def test_every_level_gives_the_same_up_to_rounding(rng, tmp_path):
    np.save(tmp_path / "x.npy", rows_of(rng, 200, 100))
    outputs = []
    for level in ak.simd.levels():
        out = tmp_path / f"{level}.npy"
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "x.npy"), str(out)],
            env={**__import__("os").environ, "ANNKIT_SIMD": level},
            check=True,
        )
        outputs.append(np.load(out))
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], atol=1e-3, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), dim=st.integers(1, 70), outputs=st.integers(1, 90), seed=st.integers(0, 2**63 - 1))
def test_any_shape(n, dim, outputs, seed):
    x = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    projection = ak.Projection(outputs).fit(x, seed=seed)
    np.testing.assert_allclose(projection.apply(x), x @ projection.matrix_.T, atol=1e-4)
    for kind in ("random", "hadamard"):
        rotation = ak.Rotation(min(outputs, dim), kind=kind).fit(x, seed=seed)
        y = rotation.apply(x)
        assert (np.linalg.norm(y, axis=1) <= np.linalg.norm(x, axis=1) * (1 + 1e-5)).all()
        np.testing.assert_allclose(rotation.apply(rotation.invert(y)), y, atol=1e-4)
    keep = min(n, dim, outputs)
    if n >= 2:
        pca = ak.PCA(keep).fit(x, seed=seed)
        np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(keep), atol=1e-5)


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
