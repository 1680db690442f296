"""RaBitQ against the estimator of the papers in NumPy, its bounds, and its errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import annkit as ak
from annkit._core import _codes as codes

DIMS = [1, 3, 8, 25, 100, 128, 200, 784]


def fitted(x, bits=1, seed=0):
    codec = ak.RaBitQ(bits=bits)
    codes.fit(codec, x, seed)
    return codec


def rows(rng, n, dim):
    return (rng.standard_normal((n, dim)) * rng.uniform(0.5, 2, dim) + rng.uniform(-1, 1, dim)).astype(np.float32)


def exact(x, q, metric):
    x, q = x.astype(np.float64), q.astype(np.float64)
    dot = q @ x.T
    return -dot if metric == "ip" else (q**2).sum(1)[:, None] - 2 * dot + (x**2).sum(1)


def best_code(r, bits):
    """Return the code u with the largest cosine by visiting every scale where one changes (2025, section 3.2)."""
    a = np.abs(r)
    most = (1 << (bits - 1)) - 1
    scales = [0.0, *sorted(k / value for value in a[a > 0] for k in range(1, most + 1))]
    best, found = -1.0, None
    for scale in scales:
        u = np.minimum(np.floor(a * scale * (1 + 1e-12)), most) + 0.5
        cosine = a @ u / np.linalg.norm(u)
        if cosine > best:
            best, found = cosine, np.where(r >= 0, u, -u)
    return best / np.linalg.norm(r), found


def estimate(x, q, center, bits, rotation, metric):
    """Return the papers' estimates with every code searched exhaustively."""
    x, q, center = (np.asarray(a, np.float64) for a in (x, q, center))
    out = np.empty((len(q), len(x)))
    rotated = (q - center) @ rotation.T
    for i, row in enumerate(x):
        r = rotation @ (row - center)
        _, u = best_code(r, bits)
        inner = rotated @ u * (r @ r) / (r @ u)  # of row - center and query - center
        if metric == "l2":
            out[:, i] = ((q - center) ** 2).sum(1) + r @ r - 2 * inner
        else:
            out[:, i] = -(q @ center) - (row - center) @ center - inner
    return out


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_errors_are_those_of_the_papers_estimator(rng, bits, metric):
    """The rotations differ, so values do: their spread must not."""
    x, q = rows(rng, 60, 64), rows(rng, 40, 64)
    own, reference = [], []
    for seed in range(8):
        own.append(codes.scores(fitted(x, bits, seed), x, q, metric)[0] - exact(x, q, metric))
        rotation = np.linalg.qr(rng.standard_normal((64, 64)))[0]
        reference.append(estimate(x, q, x.mean(0), bits, rotation, metric) - exact(x, q, metric))
    assert np.std(own) < 1.06 * np.std(reference) + 1e-5
    assert np.std(own) > 0.9 * np.std(reference)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("bits", [1, 3])
def test_estimates_are_unbiased(rng, bits, metric):
    x, q = rows(rng, 50, 40), rows(rng, 20, 40)
    errors = np.stack(
        [codes.scores(fitted(x, bits, seed), x, q, metric)[0] - exact(x, q, metric) for seed in range(200)]
    )
    spread = errors.std()
    assert abs(errors.mean()) < 4 * spread / np.sqrt(200 * 20)  # rows share a rotation and queries
    assert np.abs(errors.mean(axis=0)).max() < 5 * errors.std(axis=0).max() / np.sqrt(200)


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dim", DIMS)
def test_one_bit_bounds_hold_for_every_pair(rng, dim, residual, metric):
    x, q = rows(rng, 200, dim), rows(rng, 30, dim)
    centroid = x[:20].mean(0) if residual else None
    scores, lower, upper = codes.scores(fitted(x), x, q, metric, centroid)
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    if dim >= 25:  # and they are sharp: the tables' rounding alone, which grows with the number of tables
        assert np.median(upper - lower) < 0.03 * np.sqrt(dim) * np.std(scores - exact(x, q, metric))


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("dim", [25, 100, 784])
def test_bounds_hold_for_99_percent_of_pairs(rng, dim, bits, residual, metric):
    x, q = rows(rng, 200, dim), rows(rng, 50, dim)
    centroid = x[:20].mean(0) if residual else None
    scores, lower, upper = codes.scores(fitted(x, bits), x, q, metric, centroid)
    assert np.mean(lower <= scores) > 0.99
    assert np.mean(scores <= upper) > 0.99
    assert np.mean(lower <= exact(x, q, metric)) > 0.98


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dim", [25, 100, 200, 784])
def test_a_bit_more_quarters_the_squared_error(rng, dim, residual, metric):
    x, q = rows(rng, 150, dim), rows(rng, 30, dim)
    centroid = x[:20].mean(0) if residual else None
    truth = exact(x, q, metric)
    squared = [np.mean((codes.scores(fitted(x, b), x, q, metric, centroid)[0] - truth) ** 2) for b in range(1, 8)]
    ratios = np.array(squared[:-1]) / squared[1:]
    assert (ratios > 2.4).all()
    assert 3.2 < np.exp(np.log(ratios).mean()) < 5.2


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("dim", [25, 784])
def test_decoded_rows_get_nearer_with_bits(rng, bits, dim):
    x = rows(rng, 300, dim)
    centroid = x[:20].mean(0)
    distortion = [0.3634, 0.1188, 0.03744, 0.01154, 0.00349, 0.00104, 0.000304, 0.0000877][bits - 1]
    for c, wanted in ((None, x), (centroid, x - centroid)):
        center = x.mean(0) if c is None else centroid
        got = codes.decoded(fitted(x, bits), x, "l2", c)
        relative = ((got - wanted) ** 2).sum() / ((x - center) ** 2).sum()
        assert (0.5 if dim == 784 else 0.1) * distortion < relative < 1.25 * distortion


@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize("bits", [1, 4])
def test_rows_that_equal_the_center_are_exact(rng, bits, metric):
    x, q = rows(rng, 40, 30), rows(rng, 5, 30)
    centroid = x[3]
    scores, lower, upper = codes.scores(fitted(x, bits), x[3:4], q, metric, centroid)
    np.testing.assert_allclose(scores, exact(x[3:4], q, metric), rtol=1e-4, atol=1e-4)
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    if metric == "l2":  # as are queries that do
        scores = codes.scores(fitted(x, bits), x, x[3:4], metric, centroid)[0]
        np.testing.assert_allclose(scores, exact(x, x[3:4], metric), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_rows_all_alike(bits):
    x = np.tile(np.linspace(-3, 5, 20, dtype=np.float32), (50, 1))
    codec = fitted(x, bits)
    scores, lower, upper = codes.scores(codec, x, x[:1])
    np.testing.assert_allclose(scores, 0, atol=1e-4)
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    np.testing.assert_allclose(codes.decoded(codec, x), x, atol=1e-5)


@pytest.mark.parametrize("bits", [1, 4])
def test_constant_dims_and_duplicates(rng, bits):
    x = rows(rng, 64, 50)
    x[:, 10:40] = 7
    x[32:] = x[:32]
    scores, lower, _ = codes.scores(fitted(x, bits), x, x[:4] + np.float32(0.1))
    np.testing.assert_array_equal(scores[:, :32], scores[:, 32:])
    np.testing.assert_array_equal(lower[:, :32], lower[:, 32:])


@pytest.mark.parametrize("bits", [1, 3, 8])
@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-40, 2.0**40, 2.0**53])
@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_numbers_of_any_size(rng, scale, bits, metric):
    x, q = rows(rng, 40, 24), rows(rng, 10, 24)
    plain = codes.scores(fitted(x, bits), x, q, metric)[0].astype(np.float64)
    big = codes.scores(fitted(x * np.float32(scale), bits), x * np.float32(scale), q * np.float32(scale), metric)
    assert all(np.isfinite(part).all() for part in big)
    assert np.mean(big[1] <= big[0]) > 0.99
    if scale > 1e-15:  # squares of smaller numbers leave float32
        np.testing.assert_allclose(big[0] / scale**2, plain, rtol=1e-5, atol=1e-5 * np.abs(plain).max())


def test_far_centers_lose_little(rng):
    """Queries and centroids are taken relative to the mean, so an offset that all rows share is harmless."""
    x, q = rows(rng, 100, 32), rows(rng, 10, 32)
    near = codes.scores(fitted(x, 4), x, q)[0]
    far = codes.scores(fitted(x + np.float32(1000), 4), x + np.float32(1000), q + np.float32(1000))[0]
    np.testing.assert_allclose(far, near, rtol=0.05, atol=0.5)


@given(
    n=st.integers(1, 70),
    dim=st.integers(1, 70),
    bits=st.integers(1, 8),
    batch=st.sampled_from([32, 64, 1024]),
    residual=st.booleans(),
    metric=st.sampled_from(["l2", "ip", "euclidean"]),
    seed=st.integers(0, 2**64 - 1),
)
@settings(max_examples=60, deadline=None)
def test_codes_do_not_depend_on_batches(n, dim, bits, batch, residual, metric, seed):
    x = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    codec = fitted(x, bits, seed)
    centroid = x[0] / 2 if residual else None
    whole = codes.columns(codec, x, metric, centroid, n)
    assert codes.columns(codec, x, metric, centroid, batch) == whole
    scores, lower, upper = codes.scores(codec, x, x[:3], metric, centroid)
    assert np.isfinite(scores).all()
    assert bits > 1 or ((lower <= scores).all() and (scores <= upper).all())
    loaded = codes.from_bytes(codes.to_bytes(codec))
    assert repr(loaded) == repr(codec)
    assert codes.columns(loaded, x, metric, centroid, n) == whole


def test_codes_are_as_small_as_said(rng):
    x = rows(rng, 64, 100)
    for bits in (1, 2, 5, 8):
        for metric in ("l2", "ip"):
            for centroid in (None, x[0]):
                beside = 8 if bits == 1 else 16 if centroid is None else 20
                size = sum(map(len, codes.columns(fitted(x, bits), x, metric, centroid)))
                assert size == 64 * (bits * 104 // 8 + beside)


def test_fit_does_not_depend_on_threads(rng):
    x = rows(rng, 20000, 60)
    one, two = ak.RaBitQ(), ak.RaBitQ()
    codes.fit(one, x, 5, threads=1)
    codes.fit(two, x, 5, threads=2)
    assert codes.to_bytes(one) == codes.to_bytes(two)
    assert codes.to_bytes(one) != codes.to_bytes(fitted(x, seed=6))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int8])
def test_other_types_are_taken_as_floats(rng, dtype):
    x = rng.integers(0, 100, (40, 17)).astype(dtype)
    as_floats = x.astype(np.float32)
    assert codes.columns(fitted(x), x) == codes.columns(fitted(as_floats), as_floats)


def test_errors(rng):
    for bits in (0, 9, -1, 2**40):
        with pytest.raises(ValueError, match="bits"):
            ak.RaBitQ(bits=bits)
    for bits in (1.5, "4", None):
        with pytest.raises(TypeError):
            ak.RaBitQ(bits=bits)
    x = rows(rng, 10, 12)
    with pytest.raises(ak.NotFittedError, match="fit"):
        codes.columns(ak.RaBitQ(), x)
    with pytest.raises(ValueError, match="at least one"):
        fitted(x[:0])
    codec = fitted(x)
    with pytest.raises(ValueError, match=r"dim 5.*expects 12"):
        codes.columns(codec, x[:, :5])
    with pytest.raises(ValueError, match=r"dim 5.*expects 12"):
        codes.scores(codec, x, x[:, :5])
    with pytest.raises(ValueError, match="hamming"):
        codes.columns(codec, x, "hamming")
    bad = x.copy()
    bad[3, 4] = np.nan
    with pytest.raises(ValueError, match="row 3, column 4"):
        codes.columns(codec, bad)
    with pytest.raises(ValueError, match="row 3, column 4"):
        fitted(bad)
    bad[3, 4] = 5e18
    with pytest.raises(ValueError, match="row 3 lies"):
        codes.columns(codec, bad)


def test_hostile_files(rng):
    data = codes.to_bytes(fitted(rows(rng, 10, 12), 4))
    for i in range(0, len(data), 3):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(data)
            changed[i] ^= flip
            try:
                codes.from_bytes(bytes(changed))
            except ValueError:
                continue
    for length in range(0, len(data), 7):
        with pytest.raises(ak.FormatError):
            codes.from_bytes(data[:length])


def test_repr():
    assert repr(ak.RaBitQ()) == "RaBitQ()"
    assert repr(ak.RaBitQ(bits=7)) == "RaBitQ(bits=7)"
    assert ak.RaBitQ(bits=7).bits == 7
