"""Codecs on their own: what they encode they decode, as near as an index that keeps the same codes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import annkit as ak

ROWS = np.random.default_rng(3).standard_normal((600, 24)).astype(np.float32)

CODECS = {
    "raw": lambda: ak.Raw("f32"),
    "f16": lambda: ak.Raw("f16"),
    "bf16": lambda: ak.Raw("bf16"),
    "sq8": lambda: ak.SQ(8),
    "sq6": lambda: ak.SQ(6, uniform=True),
    "sq4": lambda: ak.SQ(4, outliers=0.01),
    "pq4": lambda: ak.PQ(12, bits=4),
    "pq5": lambda: ak.PQ(8, bits=5),
    "pq8": lambda: ak.PQ(6),
    "rabitq1": lambda: ak.RaBitQ(1),
    "rabitq3": lambda: ak.RaBitQ(3),
    "rabitq8": lambda: ak.RaBitQ(8),
    "sign_bits": lambda: ak.SignBits("median"),
}


def fitted(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few rows for 256 centroids
        return CODECS[name]().fit(ROWS)


@pytest.mark.parametrize("name", CODECS)
def test_decoded_codes_are_the_rows_that_an_index_gives_back(name):
    codec = fitted(name)
    codes = codec.encode(ROWS)
    assert codes.dtype == np.uint8
    assert codes.shape[0] == len(ROWS)
    decoded = codec.decode(codes)
    assert decoded.shape == ROWS.shape
    np.testing.assert_array_equal(codec.decode(codes[5:6]), decoded[5:6])
    if name != "sign_bits":
        index = ak.Flat(codec=codec).add(ROWS)
        np.testing.assert_array_equal(index.reconstruct(np.arange(len(ROWS))), decoded)


@pytest.mark.parametrize("name", CODECS)
def test_what_decoding_loses_is_a_part_of_what_rows_differ_by(name):
    codec = fitted(name)
    lost = ((codec.decode(codec.encode(ROWS)) - ROWS) ** 2).sum() / ((ROWS - ROWS.mean(0)) ** 2).sum()
    most = {
        "raw": 0,
        "f16": 1e-6,
        "bf16": 1e-5,
        "sq8": 1e-4,
        "sq6": 2e-3,
        "sq4": 0.02,
        "rabitq3": 0.06,
        "rabitq8": 2e-4,
    }
    assert lost <= most.get(name, 0.7)


@pytest.mark.parametrize("name", [name for name in CODECS if name not in ("raw", "f16", "bf16")])  # those take any
def test_codes_of_another_length_are_refused(name):
    codec = fitted(name)
    codes = codec.encode(ROWS[:4])
    with pytest.raises(ValueError, match=f"{codes.shape[1] - 1} bytes a row.*expects {codes.shape[1]}"):
        codec.decode(codes[:, :-1])


def recall(codec, rows, queries):
    index = ak.Flat(codec=codec).fit(rows).add(rows)
    true = ak.Flat().add(rows).search(queries, 10).ids
    return (index.search(queries, 10).ids[:, :, None] == true[:, None]).any(axis=2).mean()


@pytest.mark.parametrize("codec", [ak.PQ(12, bits=4), ak.PQ(12, bits=6), ak.RaBitQ(4)], ids=repr)
@pytest.mark.parametrize("far", [1e4, 1e8, 1e15])
def test_one_row_far_from_all_others_does_not_spoil_theirs(codec, far):
    rng = np.random.default_rng(0)
    rows, queries = (rng.standard_normal((n, 24)).astype(np.float32) + 5 for n in (5000, 100))
    alone = recall(codec, rows, queries)
    rows[0] = far
    assert recall(codec, rows, queries) > alone - 0.03


def test_ranges_stretched_by_one_far_row_are_warned_of_and_outliers_leaves_it_out():
    rng = np.random.default_rng(0)
    rows, queries = (rng.standard_normal((n, 24)).astype(np.float32) for n in (5000, 100))
    alone = recall(ak.SQ(8), rows, queries)
    rows[4000] = 1e8
    with pytest.warns(UserWarning, match=r"the ranges of SQ reach 1025\d+ times as far as half of the rows.*outliers="):
        assert recall(ak.SQ(8), rows, queries) < 0.1
    assert recall(ak.SQ(8, outliers=0.001), rows, queries) > alone - 0.1
