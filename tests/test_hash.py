"""annkit.hash: the transforms and SignBits, and nothing else."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
from transform_rows import rows_of

import annkit as ak

HASHES = {
    "itq": lambda **options: ak.hash.ITQ(13, **options),
    "cca": lambda **options: ak.hash.ITQ(40, start="cca", iterations=9, **options),
    "lsh": lambda **options: ak.hash.LSH(70, **options),
    "pca": lambda **options: ak.hash.PCAHash(16, **options),
    "spectral": lambda **options: ak.hash.Spectral(24, **options),
    "own": lambda **options: ak.hash.Hash(ak.Normalize(), ak.PCA(9), ak.Rotation(), **options),
}
every = pytest.mark.parametrize("name", HASHES)
X = rows_of(np.random.default_rng(2), 600, 20)
LABELS = np.arange(600) % 4


@every
def test_codes_are_signs_of_what_the_transforms_give(name):
    hashing = HASHES[name]().fit(X, labels=LABELS, seed=3)
    y = X
    for transform in hashing.transforms:
        y = transform.apply(y)
    codes = hashing.encode(X)
    assert hashing.bits == y.shape[1]
    np.testing.assert_array_equal(codes, np.packbits(y > 0, axis=1, bitorder="little"))
    np.testing.assert_array_equal(hashing.encode(X.astype(np.float64)[::2], threads=3), codes[::2])
    np.testing.assert_array_equal(hashing.encode(X[5]), codes[5:6])
    assert hashing.encode(X[:0]).shape == (0, codes.shape[1])


@every
def test_a_hash_is_the_pipeline_of_its_parts(name):
    hashing = HASHES[name]().fit(X, labels=LABELS, seed=3)
    made = ak.Pipeline(*HASHES[name]().transforms, ak.Flat(codec=ak.SignBits(), metric="hamming"))
    made.fit(X, labels=LABELS, seed=3)
    index = hashing.index()
    assert index.to_bytes() == made.to_bytes()
    found = index.add(X).search(X[:20], k=5)
    codes = hashing.encode(X)
    wanted = ak.hamming.topk(codes[:20], codes, k=5)
    np.testing.assert_array_equal(found.distances, wanted.distances)
    np.testing.assert_array_equal(found.ids, wanted.ids)


@every
def test_files_and_pickles_give_the_same_codes(name, tmp_path):
    hashing = HASHES[name]().fit(X, labels=LABELS)
    file = io.BytesIO()
    hashing.save(tmp_path / "hash.ak")
    hashing.save(file)
    file.seek(0)
    others = ak.hash.load(tmp_path / "hash.ak"), ak.hash.load(file), pickle.loads(pickle.dumps(hashing))
    for other in others:
        np.testing.assert_array_equal(other.encode(X), hashing.encode(X))
    again = eval(repr(HASHES[name]()), {**vars(ak), "Hash": ak.hash.Hash})
    assert repr(again) == repr(HASHES[name]()) == repr(pickle.loads(pickle.dumps(again)))


@every
def test_the_seed_is_the_constructors_or_else_that_of_fit(name):
    given = HASHES[name](seed=7).fit(X, labels=LABELS)
    np.testing.assert_array_equal(given.encode(X), HASHES[name]().fit(X, labels=LABELS, seed=7).encode(X))
    assert repr(given).endswith("seed=7)")
    other = HASHES[name](seed=8).fit(X, labels=LABELS, seed=7)
    assert (given.encode(X) != other.encode(X)).any() == (name not in ("pca", "spectral"))


def test_fit_forgets_what_it_knew(rng):
    hashing, others = HASHES["own"]().fit(X), rows_of(rng, 50, 30)
    np.testing.assert_array_equal(hashing.fit(others).encode(others), HASHES["own"]().fit(others).encode(others))
    before = hashing.encode(others)
    with pytest.raises(ValueError, match="expected at least 9"):
        hashing.fit(X[:8])
    np.testing.assert_array_equal(hashing.encode(others), before)


def test_random_hyperplanes_count_angles(rng):
    """Charikar 2002: the share of bits that differ is the angle over pi."""
    x = rng.standard_normal((60, 10))
    x = np.concatenate([x, -x]).astype(np.float32)  # their mean is zero
    codes = ak.hash.LSH(4096, seed=1).fit(x).encode(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    angles = np.arccos(np.clip(unit @ unit.T, -1, 1))
    assert np.abs(ak.hamming.pairwise(codes, codes) / 4096 - angles / np.pi).max() < 0.05


def numpy_spectral(x, bits):
    """Return the outputs of the paper's section 3: a box along the components, its lowest frequencies."""
    centred = x - x.mean(axis=0)
    v = centred @ np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :bits]
    width = np.ptp(v, axis=0)
    modes = sorted((k * np.pi / w, i) for i, w in enumerate(width) for k in range(1, bits + 1))[:bits]
    return np.stack([np.cos(frequency * (v[:, i] - v[:, i].min())) for frequency, i in modes], axis=1)


@pytest.mark.parametrize("bits", [4, 16, 33])
def test_spectral_outputs_are_those_of_the_paper(rng, bits):
    x = rows_of(rng, 400, 12).astype(np.float64)
    y, wanted = ak.Spectral(bits).fit(x).apply(x), numpy_spectral(x, bits)
    either = np.minimum(np.abs(y - wanted), np.abs(y + wanted))  # a component's sign is free: odd waves turn theirs
    assert either.max() < 2e-3


def test_spectral_takes_equal_rows_and_constant_dimensions(rng):
    x = np.zeros((40, 6), np.float32)
    assert (ak.Spectral(9).fit(x).apply(x) == 1).all()
    x[:, 2] = rng.random(40)
    y = ak.Spectral(3).fit(x).apply(x)
    share = (x[:, 2] - x[:, 2].min()) / np.ptp(x[:, 2])
    for i in range(3):
        np.testing.assert_allclose(np.abs(y[:, i]), np.abs(np.cos((i + 1) * np.pi * share)), atol=1e-4)


def test_errors_name_what_was_seen(tmp_path):
    for call, error, message in (
        (lambda: ak.hash.Hash(), TypeError, "expected one or more transforms"),
        (lambda: ak.hash.Hash(3), TypeError, "expected one or more transforms"),
        (lambda: ak.hash.ITQ(0), ValueError, "bits is 0"),
        (lambda: ak.hash.Spectral("8"), TypeError, "bits is a str"),
        (lambda: ak.hash.Spectral(8).fit(X[:1]), ValueError, "got 1 rows"),
        (lambda: ak.Spectral(8).fit(X).invert(np.ones((1, 8))), ValueError, "cannot be inverted"),
        (lambda: ak.hash.ITQ(32).fit(X), ValueError, "dimension 20, expected at least 32"),
        (lambda: ak.hash.ITQ(8).encode(X), ak.NotFittedError, "call fit"),
        (lambda: ak.hash.ITQ(8).fit(X).encode(X[:, :9]), ValueError, "dimension 9, expected 20"),
    ):
        with pytest.raises(error, match=message):
            call()
    ak.Pipeline(ak.PCA(8), ak.Flat()).save(tmp_path / "other.ak")
    with pytest.raises(ak.FormatError, match=r"Pipeline\(PCA\(8\), Flat.*expected transforms in front of signs"):
        ak.hash.load(tmp_path / "other.ak")
    (tmp_path / "cut.ak").write_bytes((tmp_path / "other.ak").read_bytes()[:200])
    with pytest.raises(ak.FormatError):
        ak.hash.load(tmp_path / "cut.ak")
