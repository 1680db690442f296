"""ITQ: its codes beside those of the paper's own steps in NumPy and of Faiss, and labels on their way to it."""

from __future__ import annotations

import numpy as np
import pytest
from transform_rows import rows_of

import annkit as ak

BITS = (16, 24)


@pytest.fixture(autouse=True, scope="module")
def peers_of_one_thread():
    """Threads of OpenBLAS spin while they wait for each other, for seconds where cores are busy."""
    limits = pytest.importorskip("threadpoolctl").threadpool_limits(1)
    yield
    limits.restore_original_limits()


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_few_rounds_end_with_a_rotation(iterations):
    for seed in range(20):
        x = rows_of(np.random.default_rng(seed), 300, 24)
        transform = ak.ITQ(24, iterations=iterations).fit(x)
        np.testing.assert_allclose(transform.invert(transform.apply(x)), x, atol=1e-3)


def numpy_itq(x, bits, seed):
    """Return mean and matrix of PCA-ITQ, as sections 2 and 3 of the paper have it."""
    mean = x.mean(axis=0)
    components = np.linalg.eigh(np.cov(x.T))[1][:, ::-1][:, :bits]
    v = (x - mean) @ components
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((bits, bits)))[0]
    for _ in range(50):
        left, _, right = np.linalg.svd(np.where(v @ rotation > 0, 1, -1).T @ v)
        rotation = right.T @ left.T
    return mean, (components @ rotation).T


def numpy_codes(x, bits, seed):
    mean, matrix = numpy_itq(x, bits, seed)
    return lambda rows: np.packbits((rows - mean) @ matrix.T > 0, axis=1, bitorder="little")


def faiss_codes(x, bits, seed):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)
    transform = faiss.ITQTransform(x.shape[1], bits, True)
    transform.itq.seed = seed + 1
    transform.train(x)
    return lambda rows: np.packbits(transform.apply(rows) > 0, axis=1, bitorder="little")


def recall(encode, base, queries, truth):
    """Return which share of the 10 nearest is among 100."""
    found = ak.hamming.topk(encode(queries), encode(base), k=100).ids
    return np.mean([np.isin(one, other).mean() for one, other in zip(truth, found, strict=True)])


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(11)
    centers = rng.standard_normal((60, 48)) * 0.9 ** np.arange(48) * 2
    x = (centers[rng.integers(0, 60, 2300)] + rng.standard_normal((2300, 48)) * 0.5 + 1).astype(np.float32)
    base, queries = x[:2000], x[2000:]
    return base, queries, ak.Flat().add(base).search(queries, k=10).ids


@pytest.mark.parametrize("bits", BITS)
def test_recall_is_that_of_numpy_and_of_faiss_and_above_random_hyperplanes(mixture, bits):
    def mean_recall(make):
        return np.mean([recall(make(mixture[0], bits, seed), *mixture) for seed in range(5)])

    own = mean_recall(lambda x, bits, seed: ak.hash.ITQ(bits, seed=seed).fit(x).encode)
    assert own >= mean_recall(numpy_codes) - 0.005
    assert own >= mean_recall(faiss_codes) - 0.005
    assert own > mean_recall(lambda x, bits, seed: ak.hash.LSH(bits, seed=seed).fit(x).encode) + 0.02
    assert own > recall(ak.hash.PCAHash(bits).fit(mixture[0]).encode, *mixture) + 0.02


def test_signs_stand_for_values_as_well_as_those_of_numpy(rng):
    """The loss that the paper minimises, per row."""
    x = rows_of(rng, 2000, 40)

    def loss(mean, matrix):
        v = (x - mean) @ matrix.T
        return ((np.where(v > 0, 1, -1) * np.abs(v).mean() - v) ** 2).sum(axis=1).mean()

    def own(seed, **options):
        itq = ak.ITQ(16, **options).fit(x, seed=seed)
        return loss(itq.mean_, itq.matrix_)

    ours = np.mean([own(seed) for seed in range(5)])
    assert ours <= 1.02 * np.mean([loss(*numpy_itq(x, 16, seed)) for seed in range(5)])
    assert ours < 0.97 * np.mean([own(seed, iterations=0) for seed in range(5)])


@pytest.mark.parametrize(("dim", "bits"), [(24, 24), (40, 9), (129, 70)])
def test_it_turns_the_principal_components(rng, dim, bits):
    x = rows_of(rng, 700, dim)
    itq, pca = ak.ITQ(bits).fit(x), ak.PCA(bits).fit(x)
    np.testing.assert_allclose(itq.matrix_ @ itq.matrix_.T, np.eye(bits), atol=5e-6)
    np.testing.assert_allclose(itq.matrix_.T @ itq.matrix_, pca.components_.T @ pca.components_, atol=1e-4)
    np.testing.assert_allclose(itq.mean_, x.astype(np.float64).mean(axis=0), rtol=1e-5)
    y = itq.apply(x)
    np.testing.assert_allclose(y, (x - itq.mean_) @ itq.matrix_.T, atol=1e-4 * np.abs(y).max())
    np.testing.assert_allclose(itq.apply(itq.invert(y)), y, atol=1e-4 * np.abs(y).max())


@pytest.fixture(scope="module")
def classes():
    """Classes that differ along directions in which rows vary little."""
    rng = np.random.default_rng(5)
    means = np.concatenate([rng.standard_normal((6, 8)) * 1.5, np.zeros((6, 24))], axis=1)
    labels = rng.integers(0, 6, 3000) * 7 - 3
    spread = np.concatenate([np.full(8, 1.0), np.full(24, 4.0)])
    mix = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    x = ((means[(labels + 3) // 7] + rng.standard_normal((3000, 32)) * spread) @ mix + 5).astype(np.float32)
    return x, labels


def scatter(x, labels):
    """Return the covariances of rows and of the means of their classes."""
    x = x.astype(np.float64)
    total = np.cov(x.T)
    each = [(x[labels == c], x.mean(axis=0)) for c in np.unique(labels)]
    between = sum(len(rows) * np.outer(rows.mean(axis=0) - mean, rows.mean(axis=0) - mean) for rows, mean in each)
    return total, between / (len(x) - 1)


@pytest.mark.parametrize("start", ["cca", "lda"])
@pytest.mark.parametrize("bits", [3, 5, 16, 64])
def test_directions_are_canonical_correlations_or_discriminants(classes, start, bits):
    """Whatever the rotation, matrix' matrix is that of the directions."""
    linalg = pytest.importorskip("scipy.linalg")
    x, labels = classes
    total, between = scatter(x, labels)
    shares, directions = linalg.eigh(between, total)
    kept = min(bits, 5)
    shares, directions = shares[::-1][:kept], directions[:, ::-1][:, :kept]
    scale = np.sqrt(shares) if start == "cca" else 1 / np.sqrt(1 - shares)
    expected = (directions * scale**2) @ directions.T
    itq = ak.ITQ(bits, start=start).fit(x, labels=labels)
    assert itq.matrix_.shape == (bits, 32)
    np.testing.assert_allclose(itq.matrix_.T @ itq.matrix_, expected, atol=2e-3 * np.abs(expected).max())


def test_discriminants_are_those_of_scikit_learn(classes):
    analysis = pytest.importorskip("sklearn.discriminant_analysis")
    x, labels = classes
    peer = analysis.LinearDiscriminantAnalysis(solver="eigen").fit(x, labels).scalings_[:, :5]
    matrix = ak.ITQ(5, start="lda").fit(x, labels=labels).matrix_
    ratio = np.trace(matrix.T @ matrix) / np.trace(peer @ peer.T)
    np.testing.assert_allclose(matrix.T @ matrix, ratio * peer @ peer.T, atol=3e-3 * np.abs(matrix.T @ matrix).max())


def mean_average_precision(codes, labels):
    distances = ak.hamming.pairwise(codes[:200], codes)
    precisions = []
    for i, near in enumerate(distances):
        hits = (labels == labels[i])[np.argsort(near, kind="stable")]
        at = np.flatnonzero(hits) + 1
        precisions.append((np.arange(1, len(at) + 1) / at).mean())
    return np.mean(precisions)


@pytest.mark.parametrize("start", ["cca", "lda"])
@pytest.mark.parametrize("bits", [16, 32])
def test_labels_lead_to_codes_of_classes(classes, start, bits):
    x, labels = classes
    plain, learned = (
        np.mean([mean_average_precision(hashing.fit(x, labels=labels, seed=s).encode(x), labels) for s in range(3)])
        for hashing in (ak.hash.ITQ(bits), ak.hash.ITQ(bits, start=start))
    )
    assert learned > plain + 0.1


def test_truth_values_are_labels_of_two_classes(classes):
    x, labels = classes
    first = labels == labels.min()
    a, b = (ak.ITQ(4, start="cca").fit(x, labels=given).matrix_ for given in (first, first.astype(int)))
    np.testing.assert_array_equal(a, b)


def test_labels_pass_through_pipelines(classes):
    x, labels = classes
    index = ak.Pipeline(ak.PCA(20), ak.ITQ(16, start="cca"), ak.Flat(codec=ak.SignBits(), metric="hamming"))
    index.fit(x, labels=labels, seed=4)
    there = ak.PCA(20).fit(x, seed=4).apply(x)
    alone = ak.ITQ(16, start="cca").fit(there, labels=labels, seed=4)
    np.testing.assert_array_equal(index.transforms[1].matrix_, alone.matrix_)
    for same in (labels.tolist(), labels.astype(np.int8)[:, None][:, 0], labels * 1000):  # classes have no size
        assert ak.ITQ(16, start="cca").fit(there, labels=same, seed=4).to_bytes() == alone.to_bytes()
    ak.IVF(lists=4, codec=ak.SQ(8)).fit(x, labels=labels)  # nothing there looks at them


@pytest.mark.parametrize("start", ["pca", "cca", "lda"])
def test_threads_change_no_bit(rng, start):
    x, labels = rows_of(rng, 9000, 30), np.arange(9000) % 13
    one, two = (ak.ITQ(20, start=start).fit(x, labels=labels, seed=5, threads=n) for n in (1, 2))
    assert one.to_bytes() == two.to_bytes()
    assert ak.ITQ(20, start=start).fit(x, labels=labels, seed=6).to_bytes() != one.to_bytes()
    assert ak.Transform.from_bytes(one.to_bytes()).to_bytes() == one.to_bytes()


@pytest.mark.parametrize("start", ["pca", "cca", "lda"])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e16])
def test_constant_dimensions_equal_rows_and_any_scale(rng, start, scale):
    x = np.zeros((300, 16), np.float32)
    x[:, :3] = rng.standard_normal((300, 3)) * scale
    x[:, 4] = scale
    for rows in (x, np.repeat(x[:6], 50, axis=0), np.full_like(x, 3 * scale), np.zeros_like(x)):
        itq = ak.ITQ(8, start=start).fit(rows, labels=np.arange(300) % 4)
        assert np.isfinite(itq.matrix_).all()
        assert np.isfinite(itq.apply(rows)).all()


def test_every_row_its_own_class_and_classes_of_one_row(rng):
    x = rows_of(rng, 60, 12)
    for labels in (np.arange(60), np.where(np.arange(60) == 7, 1, 0)):
        codes = ak.hash.ITQ(16, start="cca").fit(x, labels=labels).encode(x)
        assert codes.shape == (60, 2)
    # Two classes have one direction between them: a code says where along it a row lies.
    bits = np.unpackbits(codes, axis=1).astype(int)
    order = np.argsort(ak.ITQ(16, start="cca").fit(x, labels=labels).apply(x)[:, 0])
    assert (np.abs(np.diff(bits[order], axis=0)).sum(axis=0) <= 1).all()


ROWS = np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ak.ITQ(0), ValueError, "bits is 0"),
        (lambda: ak.ITQ(1 << 17), ValueError, "bits is 131072"),
        (lambda: ak.ITQ("8"), TypeError, "bits is a str"),
        (lambda: ak.ITQ(8, iterations=-1), ValueError, "iterations is -1"),
        (lambda: ak.ITQ(8, iterations=10**6), ValueError, "iterations is 1000000"),
        (lambda: ak.ITQ(8, start="svd"), ValueError, r'start is "svd", expected one of "pca"'),
        (lambda: ak.ITQ(13).fit(ROWS), ValueError, "dimension 12, expected at least 13"),
        (lambda: ak.ITQ(8).fit(ROWS[:7]), ValueError, "got 7 rows to fit, expected at least 8"),
        (lambda: ak.ITQ(8, start="cca").fit(ROWS), ValueError, r"learns from classes: call fit\(x, labels"),
        (lambda: ak.ITQ(8).fit(ROWS, labels=np.zeros(49, int)), ValueError, "got 49 labels for 50 rows"),
        (lambda: ak.ITQ(8, start="cca").fit(ROWS, labels=np.full(50, 3)), ValueError, "all labels are 3.*two classes"),
        (lambda: ak.ITQ(8, start="lda").fit(ROWS, labels=np.zeros(50)), TypeError, "labels has dtype float64"),
        (lambda: ak.ITQ(8, start="lda").fit(ROWS, labels=["a"] * 50), TypeError, "labels has dtype <U1.*numpy.unique"),
        (lambda: ak.ITQ(8, start="lda").fit(ROWS, labels=np.zeros((50, 2), int)), ValueError, r"\(50, 2\)"),
        (lambda: ak.ITQ(8, start="lda").fit(ROWS, labels=np.arange(50) % 2).invert(ROWS[:, :8]), ValueError, "invert"),
        (lambda: ak.Flat().fit(ROWS, labels=[1, 2]), ValueError, "got 2 labels for 50 rows"),
        (lambda: ak.Pipeline(ak.ITQ(8, start="cca"), ak.Flat()).fit(ROWS), ValueError, "learns from classes"),
    ],
)
def test_errors_name_what_was_seen(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_fit_that_fails_leaves_the_transform(rng):
    itq = ak.ITQ(8, start="cca").fit(ROWS, labels=np.arange(50) % 3)
    before = itq.to_bytes()
    for call in (lambda: itq.fit(ROWS), lambda: itq.fit(ROWS, labels=np.zeros(50, int))):
        with pytest.raises(ValueError, match="classes"):
            call()
    assert itq.to_bytes() == before
