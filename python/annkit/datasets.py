"""Reads data sets for nearest-neighbour search: the field's file formats, folders of them, and generated sets.

Every length that a file states is compared with the bytes that are there before anything is allocated.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset", "expand", "load", "metric_of_name", "read_vectors"]

Array = npt.NDArray[Any]

GENERATED = "patches, patches-u8, patches-256bit, random-<n>x<dim>"
HELD_OUT = 1000
_MAX_DIM = 1 << 20
# Deflate cannot pack tighter than 1032:1, so an HDF5 set that claims more than that is not in its file.
_MAX_DEFLATE = 1032
_HDF5_METRICS = {
    "euclidean": "l2",
    "l2": "l2",
    "angular": "cosine",
    "cosine": "cosine",
    "ip": "ip",
    "dot": "ip",
    "hamming": "hamming",
}
_NAME_METRICS = (
    (r"(^|[-_.])(angular|cosine)($|[-_.])|^(w2v|glove)", "cosine"),
    (r"(^|[-_.])(ip|dot|mips)($|[-_.])", "ip"),
    (r"(^|[-_.])(hamming|\d+bits?)($|[-_.])", "hamming"),
)
_ROLE = re.compile(r"^(?:(?P<name>.+)[._-])?(?P<role>base|train|query|queries|test)$", re.IGNORECASE)


@dataclass(frozen=True)
class Dataset:
    """Vectors to search in and vectors to search for.

    Attributes
    ----------
    name : str
        What reports call it.
    base, queries : ndarray of shape (n, dim) and (n_queries, dim)
        float32, float16, uint8 or int8; for the metric ``"hamming"`` packed bits, (n, bits / 8) uint8.
    metric : str
        ``"l2"``, ``"euclidean"``, ``"ip"``, ``"cosine"`` or ``"hamming"``.
    """

    name: str
    base: Array
    queries: Array
    metric: str


class _Layout(NamedTuple):
    dtype: str
    header_per_row: bool


_LAYOUTS = {
    ".fvecs": _Layout("<f4", True),
    ".ivecs": _Layout("<i4", True),
    ".bvecs": _Layout("u1", True),
    ".fbin": _Layout("<f4", False),
    ".ibin": _Layout("<i4", False),
    ".u8bin": _Layout("u1", False),
    ".i8bin": _Layout("i1", False),
}
_HDF5 = (".hdf5", ".h5")
_SUFFIXES = (".npy", *_LAYOUTS)


def read_vectors(path: str | Path) -> Array:
    """Read a matrix of vectors.

    Parameters
    ----------
    path : str or Path
        A ``.npy``, ``.fvecs``, ``.ivecs``, ``.bvecs``, ``.fbin``, ``.ibin``, ``.u8bin`` or ``.i8bin`` file.

    Returns
    -------
    ndarray of shape (n, dim)
        Rows in the type of the file, mapped read-only where the format allows it.

    Raises
    ------
    ValueError
        If the file is not what its name says; the message names it.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path)
    if suffix not in _LAYOUTS:
        raise ValueError(f"{path}: unknown vector format {suffix!r}, expected one of {', '.join(_SUFFIXES)}")
    layout = _LAYOUTS[suffix]
    return _read_vecs(path, layout.dtype) if layout.header_per_row else _read_bin(path, layout.dtype)


def _read_npy(path: Path) -> Array:
    try:
        rows: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises half a dozen types for a damaged header
        raise ValueError(f"{path}: not a readable .npy file: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{path}: expected a matrix of vectors, found shape {getattr(rows, 'shape', None)}")
    if rows.dtype.kind not in "fiub":
        raise ValueError(f"{path}: expected numbers, found dtype {rows.dtype}")
    return rows


def _read_vecs(path: Path, dtype: str) -> Array:
    size = path.stat().st_size
    if size < 4:
        raise ValueError(f"{path}: {size} bytes hold no vector")
    dim = int(np.fromfile(path, "<i4", 1)[0])
    row_bytes = 4 + dim * np.dtype(dtype).itemsize
    if not 0 < dim <= _MAX_DIM or size % row_bytes:
        raise ValueError(f"{path}: the first row states {dim} dimensions, which {size} bytes do not divide into")
    raw: Array = np.memmap(path, np.uint8, "r", shape=(size // row_bytes, row_bytes))
    dims = raw[:, :4].copy().view("<i4")[:, 0]
    if (dims != dim).any():
        row = int(np.argmax(dims != dim))
        raise ValueError(f"{path}: row {row} states {dims[row]} dimensions, row 0 states {dim}")
    rows: Array = raw[:, 4:].copy().view(dtype)
    return rows


def _read_bin(path: Path, dtype: str) -> Array:
    size = path.stat().st_size
    if size < 8:
        raise ValueError(f"{path}: {size} bytes hold no header")
    n, dim = (int(v) for v in np.fromfile(path, "<u4", 2))
    expected = 8 + n * dim * np.dtype(dtype).itemsize
    if n == 0 or not 0 < dim <= _MAX_DIM or expected != size:
        raise ValueError(f"{path}: the header states {n} x {dim} ({expected} bytes), the file has {size} bytes")
    rows: Array = np.memmap(path, dtype, "r", 8, (n, dim))
    return rows


def _read_hdf5(path: Path) -> tuple[Array, Array, str | None]:
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as error:
        raise ImportError(f'{path}: reading HDF5 needs h5py: pip install "annkit-native[peers]"') from error
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            distance = file.attrs.get("distance")
            return _hdf5_rows(path, file, "train"), _hdf5_rows(path, file, "test"), distance and str(distance)
    except (OSError, KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: not a readable ann-benchmarks file: {error}") from error


def _hdf5_rows(path: Path, file: Any, key: str) -> Array:
    rows = file[key]
    shape, itemsize = tuple(int(v) for v in rows.shape), int(rows.dtype.itemsize)
    stored = int(rows.id.get_storage_size()) * (_MAX_DEFLATE if rows.chunks else 1)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"{path}: {key!r} has shape {shape}, expected a matrix of vectors")
    if math.prod(shape) * itemsize > stored:
        raise ValueError(f"{path}: {key!r} states {shape} but the file does not hold that many bytes")
    return np.asarray(rows[...])


def metric_of_name(name: str) -> str:
    """Guess the metric from the name of a data set: ``"l2"`` unless the name says otherwise.

    Examples
    --------
    >>> metric_of_name("glove-100-angular"), metric_of_name("sift-128"), metric_of_name("patches-256bit")
    ('cosine', 'l2', 'hamming')
    """
    return next((metric for pattern, metric in _NAME_METRICS if re.search(pattern, name.lower())), "l2")


def expand(spec: str | Path) -> list[str]:
    """Turn a folder that holds several data sets into one spec a set; anything else stays as it is."""
    path = Path(spec)
    names = list(_pairs(path)) if path.is_dir() else []
    return [str(path / name) for name in names] or [str(spec)]


def load(spec: str | Path, *, metric: str | None = None) -> Dataset:
    """Load one data set.

    Parameters
    ----------
    spec : str or Path
        A generated set (``patches``, ``patches-u8``, ``patches-256bit``, ``random-<n>x<dim>``), a file of vectors, an
        ann-benchmarks ``.hdf5``, a folder with one pair of base and query files, or ``FOLDER/NAME`` for one of several.
    metric : str, optional
        Overrides what the file or its name says.

    Returns
    -------
    Dataset
        A file without queries gives up 1,000 rows (at most a tenth) as queries.
    """
    path = Path(spec)
    if data := _generate(str(spec)):
        return _checked(path, data.name, data.base, data.queries, metric or data.metric)
    if path.is_dir():
        names = list(_pairs(path))
        if len(names) != 1:
            raise ValueError(f"{path}: holds {len(names)} data sets, choose one: {', '.join(names) or 'none found'}")
        return _load_pair(path, names[0], metric)
    if path.suffix.lower() in _HDF5:
        return _load_hdf5(path, metric)
    if path.suffix.lower() in _SUFFIXES:
        base, queries = hold_out(_numbers(path, read_vectors(path)))
        return _checked(path, path.stem, base, queries, metric or metric_of_name(path.stem))
    if path.parent.is_dir() and (names := [n for n in _pairs(path.parent) if n.startswith(path.name)]):
        exact = [n for n in names if n == path.name] or names
        if len(exact) > 1:
            raise ValueError(f"{path}: fits several data sets: {', '.join(exact)}")
        return _load_pair(path.parent, exact[0], metric)
    raise ValueError(f"{str(spec)!r} is neither a file, a folder of base and query files, nor one of {GENERATED}")


def _generate(name: str) -> Dataset | None:
    # Late, because that module imports this one.
    make: Callable[[str], Dataset | None] = importlib.import_module("annkit.bench.generated").generate
    return make(name)


def _load_hdf5(path: Path, metric: str | None) -> Dataset:
    base, queries, distance = _read_hdf5(path)
    if metric is None and distance is not None and distance.lower() not in _HDF5_METRICS:
        raise ValueError(f"{path}: distance {distance!r} is not supported, expected one of {sorted(_HDF5_METRICS)}")
    metric = metric or (_HDF5_METRICS[distance.lower()] if distance else metric_of_name(path.stem))
    if base.dtype == bool:  # ann-benchmarks keeps one byte a bit
        base, queries = np.packbits(base, axis=1), np.packbits(queries, axis=1)
    return _checked(path, path.stem, base, queries, metric)


def _pairs(folder: Path) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.iterdir()):
        match = _ROLE.match(file.stem)
        if file.suffix.lower() not in _SUFFIXES or not match:
            continue
        name = match["name"] or folder.resolve().name
        if name.endswith(("labels", "label")):  # classes of the rows, not rows
            continue
        role = "base" if match["role"].lower() in ("base", "train") else "queries"
        found.setdefault(name, {})[role] = file
    return {name: files for name, files in found.items() if len(files) == 2}


def _load_pair(folder: Path, name: str, metric: str | None) -> Dataset:
    files = _pairs(folder)[name]
    base, queries = (_numbers(files[role], read_vectors(files[role])) for role in ("base", "queries"))
    return _checked(folder / name, name, base, queries, metric or metric_of_name(name))


def _numbers(path: Path, rows: Array) -> Array:
    """Bring the types that no index takes (float64, wide integers, foreign byte order) to float32."""
    if rows.dtype in (np.float32, np.float16, np.uint8, np.int8):
        return rows
    floats = np.asarray(rows, dtype=np.float32)
    if not np.isfinite(floats).all():
        raise ValueError(f"{path}: holds values that float32 does not (NaN, infinity or too large)")
    return floats


def hold_out(rows: Array, count: int = HELD_OUT) -> tuple[Array, Array]:
    """Split off `count` rows (at most a tenth of them), always the same ones, as queries."""
    if len(rows) < 2:
        raise ValueError(f"cannot hold out queries from {len(rows)} row")
    count = max(1, min(count, len(rows) // 10))
    held = np.zeros(len(rows), dtype=bool)
    held[np.random.default_rng(0).choice(len(rows), count, replace=False)] = True
    return rows[~held], rows[held]


def _checked(path: Path, name: str, base: Array, queries: Array, metric: str) -> Dataset:
    if base.shape[1] != queries.shape[1]:
        raise ValueError(f"{path}: base rows have {base.shape[1]} columns, queries {queries.shape[1]}")
    if metric == "hamming" and base.dtype != np.uint8:
        raise ValueError(f"{path}: the hamming metric takes packed uint8 bits, found {base.dtype}")
    base, queries = _numbers(path, base), _numbers(path, queries)
    for rows in (base, queries):
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            raise ValueError(f"{path}: holds NaN or infinity")
    return Dataset(name, base, queries, metric)
