import os
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Literal, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Buffer, Self

from annkit._core import hamming as hamming
from annkit._core import simd as simd
from annkit._lsh import TunedLSH
from annkit._results import RangeResult, SearchResult

_Element: TypeAlias = Literal["f32", "f16", "bf16", "u8", "i8"]
_Metric: TypeAlias = Literal["l2", "euclidean", "ip", "cosine", "hamming"]
_LSHFamily: TypeAlias = Literal["hyperplane", "p-stable", "cross-polytope"]
_OneFilter: TypeAlias = NDArray[np.bool_] | NDArray[np.integer[Any]] | Sequence[int]
_Filter: TypeAlias = _OneFilter | Sequence[NDArray[np.bool_] | NDArray[np.integer[Any]]]
_Progress: TypeAlias = bool | Callable[[int, int], object]

__version__: str

class NotFittedError(ValueError): ...
class FormatError(ValueError): ...

class Codec:
    def decode(self, codes: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[Any]: ...
    def fit(self, x: ArrayLike, *, seed: SupportsIndex = 0, threads: SupportsIndex | None = None) -> Self: ...
    @staticmethod
    def from_bytes(data: Buffer) -> Codec: ...
    def to_bytes(self) -> bytes: ...
    def encode(
        self,
        x: ArrayLike,
        *,
        through: Transform | Sequence[Transform] | None = None,
        threads: SupportsIndex | None = None,
    ) -> NDArray[np.uint8]: ...
    @property
    def code_size(self) -> int: ...
    @property
    def dim(self) -> int: ...
    @property
    def is_fitted(self) -> bool: ...

class PQ(Codec):
    def __init__(self, m: SupportsIndex, *, bits: SupportsIndex = 8, seed: SupportsIndex | None = None) -> None: ...
    @property
    def bits(self) -> int: ...
    @property
    def codebooks_(self) -> NDArray[np.float32]: ...
    @property
    def m(self) -> int: ...
    @property
    def seed(self) -> int | None: ...

class Raw(Codec):
    def __init__(self, type: _Element = "f32") -> None: ...
    @property
    def type(self) -> str: ...

class SQ(Codec):
    def __init__(self, bits: SupportsIndex = 8, *, uniform: bool = False, outliers: float = 0.0) -> None: ...
    @property
    def bits(self) -> int: ...
    @property
    def outliers(self) -> float: ...
    @property
    def uniform(self) -> bool: ...

class Bits(Codec):
    def __init__(self) -> None: ...

class SignBits(Codec):
    def __init__(self, threshold: Literal["zero", "median"] = "zero", *, asymmetric: bool = False) -> None: ...
    @property
    def asymmetric(self) -> bool: ...
    @property
    def medians_(self) -> NDArray[np.float32]: ...
    @property
    def threshold(self) -> str: ...

class RaBitQ(Codec):
    def __init__(self, bits: SupportsIndex = 1) -> None: ...
    @property
    def bits(self) -> int: ...

class KMeans:
    def __init__(
        self,
        k: SupportsIndex,
        *,
        rounds: SupportsIndex = 10,
        start: Literal["random", "k-means++"] = "random",
        spherical: bool = False,
        balance: float = 0.0,
        sample: SupportsIndex = 256,
        seed: SupportsIndex = 0,
    ) -> None: ...
    def fit(self, x: ArrayLike, *, threads: SupportsIndex | None = None, progress: _Progress | None = None) -> Self: ...
    def predict(self, x: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.int64]: ...
    @property
    def balance(self) -> float: ...
    @property
    def centroids_(self) -> NDArray[np.float32]: ...
    @property
    def k(self) -> int: ...
    @property
    def objective_(self) -> NDArray[np.float64]: ...
    @property
    def rounds(self) -> int: ...
    @property
    def sample(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def spherical(self) -> bool: ...
    @property
    def start(self) -> str: ...

class Transform:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...
    def apply(self, x: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.float32]: ...
    @staticmethod
    def from_bytes(data: Buffer) -> Transform: ...
    def invert(self, y: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.float32]: ...
    def to_bytes(self) -> bytes: ...
    @property
    def dim_in(self) -> int: ...
    @property
    def dim_out(self) -> int: ...
    @property
    def is_fitted(self) -> bool: ...

class Center(Transform):
    def __init__(self) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def mean_(self) -> NDArray[np.float32]: ...

class Normalize(Transform):
    def __init__(self) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...

class Projection(Transform):
    def __init__(self, dim: SupportsIndex, *, center: bool = False) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def matrix_(self) -> NDArray[np.float32]: ...
    @property
    def mean_(self) -> NDArray[np.float32]: ...

class Rotation(Transform):
    def __init__(self, dim: SupportsIndex | None = None, *, kind: Literal["random", "hadamard"] = "random") -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def matrix_(self) -> NDArray[np.float32]: ...

class ITQ(Transform):
    def __init__(
        self, bits: SupportsIndex = 64, *, iterations: SupportsIndex = 50, start: Literal["pca", "cca", "lda"] = "pca"
    ) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def matrix_(self) -> NDArray[np.float32]: ...
    @property
    def mean_(self) -> NDArray[np.float32]: ...

class Spectral(Transform):
    def __init__(self, bits: SupportsIndex = 64) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...

class OPQ(Transform):
    def __init__(
        self, m: SupportsIndex, *, dim: SupportsIndex | None = None, bits: SupportsIndex = 4, rounds: SupportsIndex = 24
    ) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def matrix_(self) -> NDArray[np.float32]: ...

class PCA(Transform):
    def __init__(self, dim: SupportsIndex, *, whiten: bool | float = False, balance: float | None = None) -> None: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @property
    def components_(self) -> NDArray[np.float32]: ...
    @property
    def explained_variance_(self) -> NDArray[np.float64]: ...
    @property
    def mean_(self) -> NDArray[np.float32]: ...

class Index:
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object) -> Self: ...
    def __len__(self) -> int: ...
    def add(
        self,
        x: ArrayLike,
        ids: ArrayLike | None = None,
        *,
        replace: bool = False,
        progress: _Progress | None = None,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    def compact(self) -> Self: ...
    def fit(
        self,
        x: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        seed: SupportsIndex = 0,
        progress: _Progress | None = None,
        threads: SupportsIndex | None = None,
    ) -> Self: ...
    @staticmethod
    def from_bytes(data: Buffer) -> Index: ...
    def memory(self) -> dict[str, int]: ...
    def reconstruct(self, ids: ArrayLike) -> NDArray[Any]: ...
    def remove(self, ids: ArrayLike) -> Self: ...
    def reserve(self, rows: SupportsIndex) -> Self: ...
    def save(self, file: str | os.PathLike[str] | BinaryIO) -> None: ...
    def to_bytes(self) -> bytes: ...
    def range_search(
        self,
        queries: ArrayLike,
        radius: float,
        *,
        filter: _Filter | None = None,
        threads: SupportsIndex | None = None,
        **settings: float,
    ) -> RangeResult: ...
    def search(
        self,
        queries: ArrayLike,
        k: SupportsIndex = 10,
        *,
        filter: _Filter | None = None,
        threads: SupportsIndex | None = None,
        **settings: float,
    ) -> SearchResult: ...
    @property
    def codec(self) -> Codec: ...
    @property
    def dim(self) -> int: ...
    @property
    def factory(self) -> str: ...
    @property
    def ids(self) -> NDArray[np.int64]: ...
    @property
    def is_fitted(self) -> bool: ...
    @property
    def metric(self) -> str: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def settings(self) -> list[str]: ...

class Flat(Index):
    def __init__(
        self, *, codec: Codec | None = None, metric: _Metric = "l2", scan: Literal["sq8"] | None = None
    ) -> None: ...

class HNSW(Index):
    def __init__(
        self,
        *,
        degree: SupportsIndex = 32,
        ef_build: SupportsIndex = 200,
        codec: Codec | None = None,
        build_codec: Codec | None = None,
        metric: _Metric = "l2",
    ) -> None: ...
    def stats(self) -> dict[str, Any]: ...
    @property
    def degree(self) -> int: ...
    @property
    def ef_build(self) -> int: ...

class IVF(Index):
    def __init__(
        self,
        *,
        lists: SupportsIndex,
        codec: Codec | None = None,
        residual: bool | None = None,
        coarse: HNSW | None = None,
        metric: _Metric = "l2",
    ) -> None: ...
    @property
    def lists(self) -> int: ...

class Pipeline(Index):
    def __init__(self, *args: Transform | Index) -> None: ...
    @property
    def transforms(self) -> tuple[Transform, ...]: ...

class Refine(Index):
    def __init__(self, base: Index, *, codec: Codec | None = None, k_factor: float = 4.0) -> None: ...
    @property
    def k_factor(self) -> float: ...

class LSHTables(Index):
    def __init__(
        self,
        *,
        family: _LSHFamily = "hyperplane",
        tables: SupportsIndex = 1,
        bits: SupportsIndex = 12,
        sketch: SupportsIndex = 256,
        directions: Literal["principal", "random"] = "principal",
        width: float | None = None,
        codec: Codec | None = None,
        metric: _Metric = "l2",
    ) -> None: ...
    def buckets(self, x: ArrayLike, *, threads: SupportsIndex | None = None) -> NDArray[np.int64]: ...
    @staticmethod
    def tuned(
        x: ArrayLike,
        recall: float = 0.9,
        *,
        k: SupportsIndex = 10,
        metric: _Metric = "l2",
        codec: Codec | None = None,
        families: Sequence[str] | None = None,
        within: float = 20.0,
        seed: SupportsIndex = 0,
        threads: SupportsIndex | None = None,
    ) -> TunedLSH: ...
    @property
    def bits(self) -> int: ...
    @property
    def tables(self) -> int: ...

class MultiIndexHash(Index):
    def __init__(self, *, codec: Codec | None = None, tables: SupportsIndex | None = None) -> None: ...
    @property
    def tables(self) -> int: ...

def get_threads() -> int: ...
def load(file: str | os.PathLike[str] | BinaryIO, *, mmap: bool = False) -> Index: ...
def set_threads(n: SupportsIndex | None = None) -> None: ...
