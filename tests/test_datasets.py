"""Reading data sets: every format against arrays that were written by hand, and files that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annkit import datasets


def vecs(rows: np.ndarray) -> bytes:
    dim = np.full((len(rows), 1), rows.shape[1], "<i4")
    return np.hstack([dim.view(np.uint8), rows.view(np.uint8)]).tobytes()


def binary(rows: np.ndarray) -> bytes:
    return np.array(rows.shape, "<u4").tobytes() + rows.tobytes()


def rows_of(dtype: str, n: int = 30, dim: int = 8) -> np.ndarray:
    return (np.random.default_rng(3).random((n, dim)) * 100).astype(dtype)


@pytest.mark.parametrize(
    ("suffix", "dtype", "encode"),
    [
        (".fvecs", "float32", vecs),
        (".bvecs", "uint8", vecs),
        (".ivecs", "int32", vecs),
        (".fbin", "float32", binary),
        (".u8bin", "uint8", binary),
        (".i8bin", "int8", binary),
        (".ibin", "int32", binary),
    ],
)
def test_every_format_gives_back_what_was_written(tmp_path: Path, suffix, dtype, encode):
    rows = rows_of(dtype)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encode(rows))
    read = datasets.read_vectors(path)
    np.testing.assert_array_equal(read, rows)
    assert read.dtype == rows.dtype


def test_npy_file_gives_up_a_tenth_as_queries_that_are_not_in_the_base(tmp_path: Path):
    rows = rows_of("float32")
    np.save(tmp_path / "mine.npy", rows)
    data = datasets.load(tmp_path / "mine.npy")
    assert (data.name, data.metric, len(data.base), len(data.queries)) == ("mine", "l2", 27, 3)
    together = np.concatenate([data.base, data.queries])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(rows, axis=0))


def test_wide_types_become_float32(tmp_path: Path):
    np.save(tmp_path / "x.npy", rows_of("float64"))
    assert datasets.load(tmp_path / "x.npy").base.dtype == np.float32


def test_folder_of_pairs_holds_one_data_set_a_pair_and_no_labels(tmp_path: Path):
    for name in ("a.base", "a.query", "a.labels_base", "a.labels_query", "glove-8.base", "glove-8.query", "lone.base"):
        np.save(tmp_path / f"{name}.npy", rows_of("float32"))
    assert datasets.expand(tmp_path) == [str(tmp_path / "a"), str(tmp_path / "glove-8")]
    assert datasets.load(tmp_path / "glove-8").metric == "cosine"
    with pytest.raises(ValueError, match="holds 2 data sets, choose one: a, glove-8"):
        datasets.load(tmp_path)


def test_folder_with_one_pair_is_named_after_the_folder(tmp_path: Path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "base.fvecs").write_bytes(vecs(rows_of("float32")))
    (folder / "query.fvecs").write_bytes(vecs(rows_of("float32", n=5)))
    data = datasets.load(folder)
    assert (data.name, data.base.shape, data.queries.shape) == ("mine", (30, 8), (5, 8))


def test_hdf5_says_its_metric(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "set.hdf5"
    with h5py.File(path, "w") as file:
        file["train"], file["test"] = rows_of("float32"), rows_of("float32", n=4)
        file.attrs["distance"] = "angular"
    data = datasets.load(path)
    assert (data.metric, data.base.shape, data.queries.shape) == ("cosine", (30, 8), (4, 8))
    path.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="not a readable ann-benchmarks file"):
        datasets.load(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("short.fvecs", b"\1", "1 bytes hold no vector"),
        ("odd.fvecs", vecs(rows_of("float32")) + b"x", "do not divide"),
        ("negative.bvecs", np.array([-1, 0], "<i4").tobytes(), "states -1 dimensions"),
        ("huge.fbin", np.array([2**31, 2**20], "<u4").tobytes(), "the file has 8 bytes"),
        ("empty.u8bin", b"", "hold no header"),
        ("text.npy", b"not numpy", "not a readable"),
        ("vectors.csv", b"1,2", "neither a file"),
    ],
)
def test_file_that_lies_is_named_in_the_error(tmp_path: Path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        datasets.load(tmp_path / name)
    assert name in str(raised.value)


def test_rows_of_different_lengths_are_refused(tmp_path: Path):
    raw = bytearray(vecs(rows_of("float32")))
    raw[36:40] = np.array([9], "<i4").tobytes()
    (tmp_path / "x.fvecs").write_bytes(raw)
    with pytest.raises(ValueError, match="row 1 states 9 dimensions, row 0 states 8"):
        datasets.read_vectors(tmp_path / "x.fvecs")


def test_nan_is_refused(tmp_path: Path):
    rows = rows_of("float32")
    rows[3, 2] = np.nan
    np.save(tmp_path / "x.npy", rows)
    with pytest.raises(ValueError, match="NaN or infinity"):
        datasets.load(tmp_path / "x.npy")


def test_hamming_over_floats_is_refused(tmp_path: Path):
    np.save(tmp_path / "x.npy", rows_of("float32"))
    with pytest.raises(ValueError, match="packed uint8 bits"):
        datasets.load(tmp_path / "x.npy", metric="hamming")


def test_patches_are_real_many_and_share_no_row_with_the_queries():
    pytest.importorskip("sklearn")
    pytest.importorskip("PIL")
    data = datasets.load("patches-u8")
    assert data.base.shape[0] >= 100_000
    assert data.base.dtype == np.uint8
    assert data.queries.shape == (1000, data.base.shape[1])
    bits = datasets.load("patches-256bit")
    assert (bits.metric, bits.base.shape) == ("hamming", (len(data.base), 32))


def test_generated_name_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch):
    (tmp_path / "random-20x4").mkdir()
    monkeypatch.chdir(tmp_path)
    assert datasets.load("random-20x4").base.shape == (20, 4)
