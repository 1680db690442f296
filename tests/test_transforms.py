"""What every transform promises, and those that learn little."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_rows import rows_of

import annkit as ak

# Every transform that takes rows of 24 dimensions.
ALL = [
    lambda: ak.Center(),
    lambda: ak.Normalize(),
    lambda: ak.Projection(40),
    lambda: ak.Projection(7),
    lambda: ak.Projection(20, center=True),
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
    lambda: ak.ITQ(24, iterations=5),
    lambda: ak.ITQ(9),
    lambda: ak.Spectral(30),
]
LEARNS = [make for make in ALL if not make().is_fitted]
every = pytest.mark.parametrize("make", ALL, ids=lambda make: repr(make()))
learning = pytest.mark.parametrize("make", LEARNS, ids=lambda make: repr(make()))


@pytest.mark.parametrize("dim", [1, 2, 3, 7, 8, 15, 16, 17, 33, 47, 64, 96, 100, 129, 300, 512])
def test_products_are_those_of_numpy(rng, dim):
    x = rng.standard_normal((101, dim)).astype(np.float32)
    for outputs in (1, dim, 2 * dim + 3):
        projection = ak.Projection(outputs).fit(x)
        assert projection.matrix_.shape == (outputs, dim)
        wanted = x.astype(np.float64) @ projection.matrix_.T.astype(np.float64)
        room = np.abs(x).astype(np.float64) @ np.abs(projection.matrix_.T) * (dim + 2) * 2.0**-24
        assert (np.abs(projection.apply(x) - wanted) <= room).all()


@pytest.mark.parametrize("shift", [0, 0.5, 1000])  # what a mean of 1,000 would round off is seen
@pytest.mark.parametrize("make", [lambda: ak.PCA(5), lambda: ak.Projection(20, center=True), lambda: ak.ITQ(9)])
def test_a_mean_is_taken_from_rows_however_long_it_is(rng, make, shift):
    x = (rng.standard_normal((300, 24)) * np.linspace(0.5, 2, 24) + shift).astype(np.float32)
    transform = make().fit(x)
    matrix = transform.components_ if isinstance(transform, ak.PCA) else transform.matrix_
    wanted = (x - transform.mean_.astype(np.float64)) @ matrix.T.astype(np.float64)
    np.testing.assert_allclose(transform.mean_, x.mean(axis=0, dtype=np.float64), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(transform.apply(x), wanted, rtol=0, atol=5e-6 * np.abs(wanted).max())
    wide = np.zeros_like(x)
    wide[7, 3] = np.inf
    with pytest.raises(ValueError, match="NaN or infinite value in row 7, column 3"):
        transform.apply(wide)


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
    if not isinstance(transform, ak.Projection | ak.Spectral):
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
    if isinstance(transform, ak.PCA | ak.Center | ak.OPQ | ak.ITQ | ak.Spectral):
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


@pytest.mark.parametrize(
    ("transform", "floats"),
    [
        (ak.Normalize(), 0),
        (ak.Center(), 64),
        (ak.PCA(20), 20 * 64),
        (ak.OPQ(4), 64 * 64),
        (ak.Rotation(), 64 * 64),
        (ak.ITQ(32), 32 * 64),
    ],
)
def test_a_pipelines_memory_has_what_its_transforms_learned(rng, transform, floats):
    x = rng.standard_normal((400, 64)).astype(np.float32)
    index = ak.Pipeline(transform, ak.Flat()).fit(x).add(x)
    assert 4 * floats <= index.memory()["transforms"] <= 12 * floats + 1024  # a matrix is kept packed, too
    assert index.nbytes == sum(index.memory().values())


@pytest.mark.parametrize(("dim", "out"), [(1024, 40), (2048, 700), (100, 33), (16, 16)])
@pytest.mark.parametrize("center", [False, True])
def test_a_row_is_projected_alike_alone_and_among_others(dim, out, center):
    """Whatever is fetched meanwhile, and where rows that lie a multiple of 4096 bytes apart are copied first."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((301, dim)).astype(np.float32) + (20 if center else 0)
    projection = ak.Projection(out, center=center).fit(x)
    got = projection.apply(x)
    alone = np.concatenate([projection.apply(row[None]) for row in x])
    np.testing.assert_array_equal(got, alone)
    np.testing.assert_array_equal(got, projection.apply(np.asfortranarray(x)))
    exact = (x.astype(np.float64) - (x.mean(axis=0, dtype=np.float64) if center else 0)) @ matrix_of(projection, dim).T
    np.testing.assert_allclose(got, exact, atol=1e-3 * np.abs(exact).max())


def matrix_of(projection, dim):
    """Return the matrix, from the images of the axes less that of the origin."""
    images = projection.apply(np.concatenate([np.zeros((1, dim)), np.eye(dim)]).astype(np.float32))
    return (images[1:] - images[0]).T.astype(np.float64)
