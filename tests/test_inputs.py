"""Arrays as they come: any layout and number type gives the answer of the plain array, or a typed error."""

from __future__ import annotations

import numpy as np
import pytest
from truth import assert_same, from_bf16, to_bf16

import annkit as ak


def layouts(x):
    """Return the same values in other layouts."""
    wide = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    wide[::2, 1::3] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    unaligned = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    return {
        "strided": wide[::2, 1::3],
        "padded rows": np.concatenate([x, x], axis=1)[:, : x.shape[1]],
        "Fortran": np.asfortranarray(x),
        "read-only": frozen,
        "unaligned": unaligned,
        "reversed rows": x[::-1].copy()[::-1],
        "reversed columns": x[:, ::-1].copy()[:, ::-1],
        "transposed": np.ascontiguousarray(x.T).T,
    }


@pytest.mark.parametrize("codec", ["f32", "f16", "bf16", "u8", "i8", "bits"])
@pytest.mark.parametrize("nq", [1, 3, 33])
def test_layout_does_not_matter(rng, codec, nq):
    dtype = {"u8": np.uint8, "i8": np.int8, "bits": np.uint8}.get(codec, np.float32)
    x = rng.integers(0, 120, (700, 17)).astype(dtype)
    q = rng.integers(0, 120, (nq, 17)).astype(dtype)

    def flat():
        return ak.Flat(codec=ak.Bits(), metric="hamming") if codec == "bits" else ak.Flat(codec=ak.Raw(codec))

    expected = flat().add(x).search(q, k=6)
    for (name, rows), queries in zip(layouts(x).items(), layouts(q).values(), strict=True):
        np.testing.assert_array_equal(rows, x, err_msg=name)
        assert_same(flat().add(rows).search(queries, k=6), expected)
        if codec == "bits":
            assert_same(ak.hamming.topk(queries, rows, k=6), expected)


def test_number_types_are_read_as_what_they_are(rng):
    x = rng.integers(-100, 100, (400, 9))
    q = rng.integers(-100, 100, (8, 9))
    expected = ak.Flat().add(x.astype(np.float32)).search(q.astype(np.float32), k=5)
    for dtype in (np.float64, np.float16, np.int8, np.float32):
        for codec in ("f32", "f16", "bf16"):
            index = ak.Flat(codec=ak.Raw(codec)).add(x.astype(dtype))
            assert_same(index.search(q.astype(dtype), k=5), expected)
    unsigned = ak.Flat().add(np.abs(x).astype(np.float32)).search(np.abs(q).astype(np.float64), k=5)
    assert_same(ak.Flat().add(np.abs(x).astype(np.uint8)).search(np.abs(q).astype(np.uint8), k=5), unsigned)
    assert_same(ak.Flat().add(x.astype(float).tolist()).search(q.astype(float).tolist(), k=5), expected)


def test_bfloat16_is_read_as_it_is(rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal((300, 11)).astype(np.float32)
    halves = x.astype(ml_dtypes.bfloat16)
    exact = from_bf16(to_bf16(x))
    for codec in ("f32", "bf16"):
        index = ak.Flat(codec=ak.Raw(codec)).add(halves)
        np.testing.assert_array_equal(index.reconstruct(np.arange(300)), exact)
        strided = np.repeat(halves, 2, axis=1)[:, ::2]
        assert_same(index.search(strided[:9], k=3), ak.Flat().add(exact).search(exact[:9], k=3))


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
def test_floats_of_the_other_byte_order_are_read_as_what_they_are(rng, dtype):
    x = rng.standard_normal((50, 6)).astype(dtype)
    for rows in (x, x[::-1, ::-1], np.asfortranarray(x)):
        index = ak.Flat().add(rows)
        np.testing.assert_array_equal(index.reconstruct(np.arange(50)), rows.astype(np.float32))
        assert_same(index.search(rows[:5], k=3), index.search(rows[:5].astype(dtype[1:]), k=3))
    assert_same(ak.Flat().add(x).search(x, k=2, filter=np.arange(9, dtype=">i8")), ak.Flat().add(x[:9]).search(x, k=2))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, ">i4", np.uint16, np.uint64, np.longdouble])
@pytest.mark.parametrize("codec", ["f32", "bf16", "u8"])
def test_numbers_that_floats_may_not_hold_are_refused_with_what_to_do(dtype, codec):
    with pytest.raises(TypeError, match=r"expected float32.*; x.astype converts it"):
        ak.Flat(codec=ak.Raw(codec)).add(np.ones((3, 2), dtype))


def test_one_dimension_is_one_row(rng):
    x = rng.standard_normal((20, 6)).astype(np.float32)
    index = ak.Flat().add(x[0]).add(x[1:])
    assert len(index) == 20
    assert_same(index.search(x[3], k=4), index.search(x[3:4], k=4))
    assert index.search(x[3]).ids[0, 0] == 3
    assert_same(index.range_search(x[3], 1.0), index.range_search(x[3:4], 1.0))


def test_repeated_rows_by_a_stride_of_zero(rng):
    row = rng.standard_normal(6).astype(np.float32)
    index = ak.Flat().add(np.broadcast_to(row, (9, 6)))
    np.testing.assert_array_equal(index.reconstruct([0, 8]), [row, row])
    np.testing.assert_array_equal(index.search(row, k=9).ids, [np.arange(9)])


def test_the_index_keeps_a_copy(rng):
    x = rng.standard_normal((20, 6)).astype(np.float32)
    given = x.copy()
    index = ak.Flat().add(given)
    given[...] = 0
    np.testing.assert_array_equal(index.reconstruct(np.arange(20)), x)


def test_bf16_rounding_is_ml_dtypes(rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = rng.standard_normal(1000).astype(np.float32)
    np.testing.assert_array_equal(from_bf16(to_bf16(x)), x.astype(ml_dtypes.bfloat16).astype(np.float32))


@pytest.mark.parametrize(
    "part",
    [
        ak.KMeans(8),
        ak.PQ(4, bits=4),
        ak.SignBits("median"),
        ak.OPQ(4),
        ak.PCA(4),
        ak.Rotation(),
        ak.Normalize(),
        ak.Flat(),
        ak.HNSW(codec=ak.SQ(8)),
        ak.IVF(lists=8, codec=ak.PQ(4, bits=4)),
    ],
    ids=repr,
)
def test_fit_refuses_rows_that_are_not_finite_whether_it_learns_from_them_or_not(rng, part):
    x = rng.standard_normal((70_000, 8)).astype(np.float32)
    x[54_321, 5] = np.nan
    with pytest.raises(ValueError, match="row 54321, column 5"):
        part.fit(x)
