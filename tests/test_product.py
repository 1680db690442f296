"""Product quantization against NumPy and Faiss."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import annkit as ak
from annkit._core import _kernels as kernels

pytestmark = pytest.mark.filterwarnings("ignore:got .* rows to train:UserWarning")


def mixture(rng, n, dim, parts=50, spread=2.0):
    """Return rows around random centers."""
    centers = rng.standard_normal((parts, dim)) * spread
    return (centers[rng.integers(0, parts, n)] + rng.standard_normal((n, dim))).astype(np.float32)


def numbers_of(codes, m, bits):
    """Return the codes' numbers, as NumPy unpacks bits."""
    rows = np.unpackbits(codes, axis=1, bitorder="little")[:, : m * bits].reshape(len(codes), m, bits)
    return (rows.astype(np.int64) << np.arange(bits)).sum(axis=2)


def faiss_error(x, m, bits):
    """Return the same of Faiss's quantizer."""
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(1)  # its threads wait for each other in a loop
    peer = faiss.ProductQuantizer(x.shape[1], m, bits)
    peer.train(x)
    return float(((peer.decode(peer.compute_codes(x)) - x) ** 2).sum(axis=1).mean())


def error(codec, x):
    """Return the mean squared error of decoded rows."""
    return float(((codec.decode(codec.encode(x)) - x) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize(("m", "bits", "dim"), [(4, 4, 16), (5, 4, 15), (3, 5, 6), (8, 6, 8), (2, 8, 20), (1, 9, 3)])
def test_codes_name_the_nearest_centroids(rng, m, bits, dim):
    x = mixture(rng, 3000, dim)
    codec = ak.PQ(m, bits=bits).fit(x)
    codes = codec.encode(x)
    assert codes.shape == (3000, (m * bits + 7) // 8) == (3000, codec.code_size)
    books = codec.codebooks_
    assert books.shape == (m, 2**bits, dim // m)
    parts = x.reshape(3000, m, 1, -1).astype(np.float64)
    distances = ((parts - books[None]) ** 2).sum(axis=3)
    numbers = numbers_of(codes, m, bits)
    chosen = np.take_along_axis(distances, numbers[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_allclose(chosen, distances.min(axis=2), rtol=1e-5, atol=1e-5)
    assert (numbers == distances.argmin(axis=2)).mean() > 0.999
    np.testing.assert_array_equal(codec.decode(codes), books[np.arange(m), numbers].reshape(3000, dim))
    np.testing.assert_array_equal(codec.decode(codes[5:8]), codec.decode(codes)[5:8])  # few are put together otherwise


def test_rows_far_from_the_origin_lose_nothing(rng):
    x = mixture(rng, 3000, 8)
    near = ak.PQ(2, bits=6).fit(x)
    far = ak.PQ(2, bits=6).fit(x + np.float32(4096))
    assert error(far, x + np.float32(4096)) == pytest.approx(error(near, x), rel=0.01)


@pytest.mark.parametrize("offset", [100.0, 2.0**14, 2.0**20])
@pytest.mark.parametrize("columns", [slice(None), slice(3, 4)])  # one wide column is enough
def test_codes_far_from_the_origin_name_the_nearest_centroids(rng, offset, columns):
    x = rng.standard_normal((3000, 8)).astype(np.float32)
    x[:, columns] += np.float32(offset)
    codec = ak.PQ(2, bits=8).fit(x)
    codes = codec.encode(x)
    parts, books = x.astype(np.float64).reshape(3000, 2, 1, 4), codec.codebooks_.astype(np.float64)
    distances = ((parts - books) ** 2).sum(axis=3)
    chosen = np.take_along_axis(distances, codes[:, :, None], axis=2)
    assert chosen.sum() <= 1.00001 * distances.min(axis=2).sum()
    np.testing.assert_array_equal(codec.encode(x[:1]), codes[:1])


@pytest.mark.parametrize(("dim", "m", "bits"), [(32, 8, 4), (32, 4, 8), (64, 32, 4), (24, 8, 6)])
def test_the_error_is_that_of_faiss(rng, dim, m, bits):
    x = mixture(rng, 20_000, dim)
    assert error(ak.PQ(m, bits=bits).fit(x), x) < 1.01 * faiss_error(x, m, bits)


@pytest.mark.parametrize("spread", [2.0, 2000.0])  # seen from so far, bytes tell nothing of what is near
@pytest.mark.parametrize(("dim", "m", "bits"), [(32, 1, 8), (66, 3, 7), (80, 4, 6)])
def test_the_error_of_wide_groups_is_that_of_faiss(rng, dim, m, bits, spread):
    x = mixture(rng, 10_000, dim, parts=20, spread=spread)
    own = np.mean([error(ak.PQ(m, bits=bits).fit(x, seed=seed), x) for seed in range(3)])
    assert own < 1.02 * faiss_error(x, m, bits)


def test_threads_change_nothing_in_wide_groups(rng):
    x = mixture(rng, 20_000, 64)
    one, more = (ak.PQ(2).fit(x, threads=threads).codebooks_ for threads in (1, 3))
    np.testing.assert_array_equal(one, more)


@pytest.mark.parametrize(
    ("name", "m", "bits"),
    [("sift-caltech-128", 32, 4), ("sift-caltech-128", 16, 8), ("fashion-mnist-784", 98, 4), ("w2v-enwiki-100", 25, 8)],
)
def test_the_error_on_real_rows_is_that_of_faiss(real_data, name, m, bits):
    x = np.load(real_data / f"{name}.base.npy", mmap_mode="r")[:10_000].astype(np.float32)
    assert error(ak.PQ(m, bits=bits).fit(x), x) < 1.01 * faiss_error(x, m, bits)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("metric", ["l2", "ip"])
@pytest.mark.parametrize(("m", "bits", "dim"), [(8, 4, 32), (5, 4, 15), (1, 4, 3), (4, 5, 8), (6, 8, 18), (9, 11, 9)])
def test_scores_are_those_of_decoded_rows(rng, metric, residual, m, bits, dim):
    x = mixture(rng, 2500, dim)
    center = rng.standard_normal(dim).astype(np.float32) if residual else None
    codec = ak.PQ(m, bits=bits).fit(x - center if residual else x)
    queries = mixture(rng, 7, dim)
    decoded = (
        codec.decode(codec.encode(x - center)) + center.astype(np.float64)
        if residual
        else codec.decode(codec.encode(x))
    ).astype(np.float64)
    wanted = -queries @ decoded.T if metric == "ip" else ((queries[:, None] - decoded[None]) ** 2).sum(axis=2)
    scores, lower, upper = kernels.tile_scores(codec, metric, x, center, queries)
    np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4)
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    if bits == 4:
        assert np.isfinite(lower).all()
        spread = wanted.max(axis=1) - wanted.min(axis=1)
        assert ((scores - lower).mean(axis=1) < 0.1 * spread).all()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("rows", ["log-normal values", "one wide dimension"])
def test_entries_far_from_most_leave_bounds_that_tell_rows_apart(rng, rows, bits):
    x = rng.standard_normal((4000, 64)) * np.where((rows == "one wide dimension") & (np.arange(64) == 3), 100, 1)
    x = (np.exp(1.3 * x) if rows == "log-normal values" else x).astype(np.float32)
    codec = ak.PQ(16 if bits == 4 else 8, bits=bits, seed=0).fit(x)
    scores, lower, upper = kernels.tile_scores(codec, "l2", x, None, x[:30])
    assert (lower <= scores).all()
    assert (scores <= upper).all()
    if np.isfinite(lower).all():  # there are levels without tiles of 8 bits
        tenth = np.sort(scores, axis=1)[:, 9:10]
        assert np.median((lower <= tenth).sum(axis=1)) < 200


def test_scores_do_not_depend_on_the_rows_beside_them(rng):
    x = mixture(rng, 600, 12)
    for bits in (4, 7, 8):
        codec = ak.PQ(6, bits=bits).fit(x)
        scores, lower, _ = kernels.tile_scores(codec, "l2", x, None, x[:2])
        some = np.array([5, 77, 300, 599])
        again, bounds, _ = kernels.tile_scores(codec, "l2", x[some], None, x[:2])
        np.testing.assert_array_equal(again, scores[:, some])
        np.testing.assert_array_equal(bounds, lower[:, some])


@pytest.mark.parametrize(("bits", "n"), [(4, 5000), (8, 20_000), (10, 5000)])
def test_threads_and_batches_change_nothing(rng, bits, n):
    x = mixture(rng, n, 24)
    one, two = (ak.PQ(3, bits=bits).fit(x, seed=7, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.codebooks_, two.codebooks_)
    codes = one.encode(x, threads=1)
    np.testing.assert_array_equal(codes, two.encode(x, threads=2))
    for first, count in ((0, 1), (13, 65), (1000, 999)):
        np.testing.assert_array_equal(one.encode(x[first : first + count]), codes[first : first + count])
    np.testing.assert_array_equal(one.decode(codes, threads=1), one.decode(codes, threads=2))


@pytest.mark.parametrize("codec", [ak.PQ(8, bits=4), ak.RaBitQ()])
@pytest.mark.parametrize("k", [1, 10, 24, 25, 64, 65, 100, 1000])
def test_many_hits_are_those_of_single_queries_and_of_decoded_rows(rng, codec, k):
    x = mixture(rng, 9000, 16)
    x[4000:4100] = x[:100]  # ties go by id, wherever they lie
    queries = mixture(rng, 40, 16)
    index = ak.Flat(codec=codec).fit(x).add(x)
    found = index.search(queries, k=k, threads=1)
    for i in range(0, 40, 10):
        np.testing.assert_array_equal(index.search(queries[i], k=k, threads=1).ids[0], found.ids[i])
    np.testing.assert_array_equal(index.search(queries, k=k, threads=2).ids, found.ids)
    order = np.lexsort((found.ids, found.distances), axis=1)
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(k), order.shape))
    if isinstance(codec, ak.PQ):
        rows = index.reconstruct(np.arange(len(x))).astype(np.float64)
        wanted = np.sort(((queries[:, None].astype(np.float64) - rows) ** 2).sum(axis=2), axis=1)[:, :k]
        np.testing.assert_allclose(found.distances, wanted, rtol=1e-4)


@pytest.mark.parametrize("far", [0, 1, 1e6])
def test_many_hits_come_in_order_however_distances_spread(rng, far):
    x = rng.standard_normal((3000, 4)).astype(np.float32)
    x[:20] *= 0.001
    x[120:160] = x[121]
    x[150:] += np.float32(far)  # for a large k nearly all scores fall into one place, or nearly none do
    query = np.zeros((1, 4), np.float32)
    distances = (x.astype(np.float64) ** 2).sum(axis=1)
    for k in (70, 140, 200, 2999):
        found = ak.Flat().add(x).search(query, k=k)
        np.testing.assert_allclose(found.distances[0], np.sort(distances)[:k], rtol=1e-5)
        order = np.lexsort((found.ids[0], found.distances[0]))
        np.testing.assert_array_equal(order, np.arange(k))


def test_seeds_matter_and_repeat(rng):
    x = mixture(rng, 2000, 8)
    first = ak.PQ(2, bits=4).fit(x, seed=1).codebooks_
    np.testing.assert_array_equal(ak.PQ(2, bits=4).fit(x, seed=1).codebooks_, first)
    assert not np.array_equal(ak.PQ(2, bits=4).fit(x, seed=2).codebooks_, first)
    np.testing.assert_array_equal(ak.PQ(2, bits=4, seed=1).fit(x, seed=2).codebooks_, first)


def test_more_rows_than_it_trains_on(rng):
    x = mixture(rng, 80_000, 4)  # of which it takes 16,384
    codec = ak.PQ(2, bits=4).fit(x)
    assert error(codec, x) < 1.02 * error(ak.PQ(2, bits=4).fit(x[:16_384]), x)


def test_few_centroids_learn_from_more_rows_than_those_of_faiss(rng):
    x = mixture(rng, 40_000, 32)
    own = np.mean([error(ak.PQ(8, bits=4).fit(x, seed=seed), x) for seed in range(5)])
    assert own < 0.998 * faiss_error(x, 8, 4)  # which takes 4096


def test_few_distinct_rows_are_kept_exactly(rng):
    distinct = rng.integers(-50, 50, (5, 6)).astype(np.float32)
    x = distinct[rng.integers(0, 5, 400)]
    codec = ak.PQ(3, bits=4).fit(x)
    np.testing.assert_allclose(codec.decode(codec.encode(x)), x, atol=1e-4)


def test_rows_that_are_all_equal():
    x = np.full((100, 6), 3.25, np.float32)
    for bits in (4, 6):
        codec = ak.PQ(3, bits=bits).fit(x)
        np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)
        scores, lower, upper = kernels.tile_scores(codec, "l2", x, None, np.zeros((1, 6), np.float32))
        assert (lower <= scores).all()
        assert (scores <= upper).all()
        np.testing.assert_allclose(scores, 6 * 3.25**2, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int8])
def test_other_types_are_taken_as_floats(rng, dtype):
    x = rng.integers(0, 100, (500, 8)).astype(dtype)
    codec = ak.PQ(4, bits=4).fit(x)
    plain = ak.PQ(4, bits=4).fit(x.astype(np.float32))
    np.testing.assert_array_equal(codec.codebooks_, plain.codebooks_)
    np.testing.assert_array_equal(codec.encode(x), plain.encode(x.astype(np.float32)))
    wide = np.zeros((500, 16), dtype)
    wide[:, ::2] = x
    np.testing.assert_array_equal(codec.encode(wide[:, ::2]), codec.encode(x))
    np.testing.assert_array_equal(codec.encode(x[::-1]), codec.encode(x)[::-1])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_shape_encodes_and_decodes(data):
    m, group = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    bits, extra = data.draw(st.integers(4, 9)), data.draw(st.integers(0, 130))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scale = data.draw(st.sampled_from([1e-18, 1e-3, 1.0, 1e5, 1e15]))
    x = (rng.standard_normal((2**bits + extra, m * group)) * scale).astype(np.float32)
    codec = ak.PQ(m, bits=bits).fit(x)
    decoded = codec.decode(codec.encode(x))
    assert ((decoded - x).astype(np.float64) ** 2).sum() <= ((x - x.mean(axis=0)).astype(np.float64) ** 2).sum()
    numbers = numbers_of(codec.encode(x), m, bits)
    np.testing.assert_array_equal(codec.codebooks_[np.arange(m), numbers].reshape(x.shape), decoded)
    centroids = codec.codebooks_[:, :1].reshape(1, -1)
    # Of centroids whose distances differ by less than rounding, either may be taken.
    near = 1e-3 * np.abs(centroids).max()
    np.testing.assert_allclose(codec.decode(codec.encode(centroids)), centroids, rtol=0, atol=near)
    for metric in ("l2", "ip"):
        for center in (None, x[0]):
            scores, lower, upper = kernels.tile_scores(codec, metric, x[:70], center, x[-3:])
            assert (lower <= scores).all()
            assert (scores <= upper).all()


def test_faiss_reads_the_codes(rng):
    faiss = pytest.importorskip("faiss")
    x = mixture(rng, 3000, 12)
    for bits in (4, 5, 8, 10):
        codec = ak.PQ(3, bits=bits).fit(x)
        peer = faiss.ProductQuantizer(12, 3, bits)
        faiss.copy_array_to_vector(codec.codebooks_.ravel(), peer.centroids)
        np.testing.assert_array_equal(peer.decode(codec.encode(x)), codec.decode(codec.encode(x)))


def test_use_before_fit():
    codec = ak.PQ(4)
    assert not codec.is_fitted
    assert codec.dim == 0
    assert codec.code_size == 0
    for call in (lambda: codec.encode(np.zeros((1, 8))), lambda: codec.decode(np.zeros((1, 4), np.uint8))):
        with pytest.raises(ak.NotFittedError, match=r"PQ\(4\) has not been fitted"):
            call()
    with pytest.raises(ak.NotFittedError):
        _ = codec.codebooks_


def test_wrong_arguments(rng):
    x = mixture(rng, 300, 10)
    with pytest.raises(ValueError, match="m = 3 groups, which do not divide the dimension 10"):
        ak.PQ(3).fit(x)
    with pytest.raises(ValueError, match="8 bits learns 256 centroids a group, got 200 rows"):
        ak.PQ(5).fit(x[:200])
    for bits in (1, 3, 13):
        with pytest.raises(ValueError, match=f"{bits} bits, expected 4 to 12"):
            ak.PQ(5, bits=bits)
    for m in (0, -1, 70_000):
        with pytest.raises(ValueError, match="expected"):
            ak.PQ(m)
    with pytest.raises(TypeError, match="m is a float"):
        ak.PQ(2.5)
    with pytest.raises(TypeError, match="integer"):
        ak.PQ(5, seed="x")
    with pytest.raises(ValueError, match="seed is -1"):
        ak.PQ(5, seed=-1)
    codec = ak.PQ(5).fit(x)
    with pytest.raises(ValueError, match=r"dimension 9, PQ\(5\) has been fitted to 10"):
        codec.encode(x[:, :9])
    with pytest.raises(ValueError, match=r"have 4 bytes a row, .* expects 5"):
        codec.decode(np.zeros((2, 4), np.uint8))
    with pytest.raises(TypeError, match="dtype float32, expected uint8"):
        codec.decode(np.zeros((2, 5), np.float32))
    with pytest.raises(TypeError, match="dtype int64, expected uint8"):
        codec.decode([[1, 2, 3, 4, 5]])
    x[7, 3] = np.nan
    for call in (codec.encode, ak.PQ(5, bits=4).fit):
        with pytest.raises(ValueError, match="row 7, column 3"):
            call(x)


def test_a_fit_that_fails_changes_nothing(rng):
    x = mixture(rng, 300, 10)
    codec = ak.PQ(5).fit(x)
    before = codec.encode(x)
    with pytest.raises(ValueError, match="rows"):
        codec.fit(x[:10])
    np.testing.assert_array_equal(codec.encode(x), before)


def test_parameters_decide_equality():
    assert ak.PQ(4) == ak.PQ(4, bits=8) != ak.PQ(4, bits=4)
    assert ak.PQ(4, seed=1) != ak.PQ(4)
    assert ak.PQ(4) != ak.Raw("f32")
    assert hash(ak.PQ(4)) == hash(ak.PQ(4))
    codec = ak.PQ(4, bits=6, seed=2**64 - 1)
    assert repr(codec) == f"PQ(4, bits=6, seed={2**64 - 1})"
    assert (codec.m, codec.bits, codec.seed, ak.PQ(4).seed) == (4, 6, 2**64 - 1, None)
    assert eval(repr(codec), {"PQ": ak.PQ}) == codec


@pytest.mark.parametrize("make", [lambda a: pickle.loads(pickle.dumps(a)), copy.copy, copy.deepcopy])
def test_copies(rng, make):
    x = mixture(rng, 300, 8)
    fresh = make(ak.PQ(4, seed=3))
    assert fresh == ak.PQ(4, seed=3)
    assert not fresh.is_fitted
    codec = ak.PQ(4, bits=5).fit(x)
    again = make(codec)
    assert again == codec
    assert again.is_fitted
    assert again.dim == 8
    np.testing.assert_array_equal(again.encode(x), codec.encode(x))
    np.testing.assert_array_equal(again.codebooks_, codec.codebooks_)
    assert again.to_bytes() == codec.to_bytes()


def test_damaged_bytes_are_refused(rng):
    data = ak.PQ(2, bits=4).fit(mixture(rng, 100, 4)).to_bytes()
    for cut in range(0, len(data), 37):
        with pytest.raises(ak.FormatError):
            ak.Codec.from_bytes(data[:cut])
    for at in range(0, len(data), 11):
        broken = bytearray(data)
        broken[at] ^= 0x41
        with pytest.raises(ak.FormatError):
            ak.Codec.from_bytes(bytes(broken))


@pytest.mark.parametrize("codec", [ak.Raw("f32"), ak.Raw("f16"), ak.Raw("u8"), ak.Raw("i8"), ak.Bits()])
def test_every_codec_encodes_on_its_own(rng, codec):
    dtype = np.int8 if codec == ak.Raw("i8") else np.float32 if "f" in repr(codec) else np.uint8
    x = rng.integers(0, 100, (70, 24)).astype(dtype)
    codes = codec.fit(x).encode(x)
    assert codes.dtype == np.uint8
    assert len(codes) == 70
    decoded = codec.decode(codes)
    assert decoded.dtype == x.dtype
    np.testing.assert_array_equal(decoded, x)
    if codec != ak.Bits():  # which takes any number of bytes
        with pytest.raises(ValueError, match="bytes a row"):
            codec.decode(codes[:, :3])
