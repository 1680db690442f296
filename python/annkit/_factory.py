"""Factory strings: an index in a line, in Faiss's spelling."""

from __future__ import annotations

import operator
import re
from typing import Literal

from annkit._core import (
    HNSW,
    IVF,
    Bits,
    Codec,
    Flat,
    Index,
    MultiIndexHash,
    Pipeline,
    Raw,
    Refine,
    Rotation,
    SignBits,
    Transform,
)
from annkit._words import (
    GRAPH,
    HALF_DEGREE,
    LISTS,
    REFINE,
    ROTATED_LSH,
    TABLES,
    Words,
    codec_of,
    half_degree,
    transforms_of,
)

Metric = Literal["l2", "euclidean", "ip", "cosine", "hamming"]

_WIDEST_MIH = 1024  # bits
_UNITS = {"": 1, "k": 1 << 10, "M": 1 << 20}


def index(spec: str, dim: int | None = None, *, metric: Metric = "l2") -> Index:
    """Make an index from a factory string.

    Words stand between commas: transforms, then ``IVF`` with a number of lists or ``HNSW`` with half the links of a
    row, a codec, and refinements. Their spelling is Faiss's. The way back is ``index.factory``.

    ==================== ==========================================================================================
    ``PCA64``            ``PCA(64)``; ``PCAW64`` whitens, ``PCAR64`` rotates afterwards
    ``OPQ32``            ``OPQ(32)``, with the bits of the ``PQ`` that follows; ``OPQ32_64`` with 64 outputs
    ``RR``, ``RR64``     ``Rotation()``, ``Rotation(64)``; ``HR`` of kind "hadamard"
    ``L2norm``           ``Normalize()``
    ``Center``           ``Center()``, which Faiss has no word for
    ``IVF1024``          ``IVF(lists=1024)``; ``IVF4k`` has 4 * 1024 and ``IVF1M`` 1024 * 1024 lists
    ``IVF65536_HNSW32``  ``IVF(lists=65536, coarse=HNSW(degree=64))``: a graph finds the lists; ``IVF65536_HNSW`` and
                         ``IVF65536(HNSW32)`` are the same
    ``HNSW32``           ``HNSW(degree=64)``, as is ``HNSW``; over rows as they are unless a codec follows, as in
                         ``HNSW32,SQ8`` or ``HNSW32_SQ8``
    ``Flat``             rows as they are; ``SQfp16``, ``SQbf16``, ``SQ8_direct`` (uint8), ``SQ8_direct_signed`` (int8)
    ``SQ8``              ``SQ(8)``; also ``SQ6`` and ``SQ4``
    ``PQ32``             ``PQ(32)``; ``PQ32x10`` with 10 bits
    ``PQ32x4fs``         ``PQ(32, bits=4)``, in lists with ``residual=False``; ``PQ32x4fsr`` of residuals
    ``RaBitQ``           ``RaBitQ()``; ``RaBitQ4`` with 4 bits; ``RaBitQfs4`` is the same
    ``ITQ64``            ``ITQ(64)``
    ``LSH``              ``SignBits()``, for "hamming": ``ITQ64,LSH``; ``LSHt`` with medians, ``LSHr`` is ``RR,LSH``
    ``LSHa``             ``SignBits(asymmetric=True)``, for "l2" and "ip"; ``LSHta`` with medians. Not Faiss's
    ``MIH``              ``MultiIndexHash(codec=SignBits())``: ``ITQ64,MIH``; ``MIH4``: 4 tables, ``MIH,LSHt``: medians
    ``BFlat``            ``Flat(codec=Bits(), metric="hamming")``; ``BHNSW32`` the same with ``HNSW(degree=64)``
    ``BMIH``             ``MultiIndexHash()``; ``BMIH4`` with 4 tables
    ``BIVF1024``         ``IVF(lists=1024, codec=Bits(), metric="hamming")``; ``BIVF1024_HNSW32`` with a graph
    ``RFlat``            ``Refine`` by the rows themselves; ``Refine(SQ8)`` by any other codec
    ``IDMap``            nothing: every index takes ids
    ==================== ==========================================================================================

    Two defaults are not Faiss's: ``IVF1024,SQ8`` keeps rows, not residuals, in 8 bits, and a refinement looks at
    4 candidates a hit, not at one (``k_factor`` of searches). Codes of 4 bits are always scanned fast: ``PQ32x4`` is
    ``PQ32x4fs``, in lists ``PQ32x4fsr``.

    Parameters
    ----------
    spec : str
        Such as "OPQ32_64,IVF1024,PQ32x4fs,RFlat".
    dim : int, optional
        The dimension of the rows. Where it is given, parts that do not fit it are refused here and not by ``fit``.
    metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
        "BFlat", "BHNSW32", "BIVF1024", "BMIH", "MIH" and "LSH" are always for "hamming".

    Returns
    -------
    Index

    Raises
    ------
    ValueError
        A word that is not known or does not belong where it stands: the message quotes it, says where it stands and
        what is expected there. Parts that do not fit each other.

    Examples
    --------
    >>> import annkit as ak
    >>> ak.index("PCA64,IVF1024,SQ8,RFlat", metric="cosine").factory
    'PCA64,IVF1024,SQ8,RFlat'
    >>> ak.index("SQ8")
    Flat(codec=SQ(bits=8), metric="l2")
    >>> ak.index("IVF256,PQ32x4sf")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: "PQ32x4sf", word 2 of "IVF256,PQ32x4sf" (from character 8 on), is not known: expected a codec ...
    """
    if not isinstance(spec, str):
        raise TypeError(f'spec is {spec!r}, expected a string such as "IVF1024,SQ8"')
    if dim is not None:
        dim = whole(dim, "dim")
    words = Words(spec)
    transforms = _read_transforms(words)
    if not transforms and (of_bits := _read_bits(words, metric)) is not None:
        if dim is not None:
            _check_dim(spec, dim)
        return of_bits
    made = _read_rows(words, metric)
    if transforms:
        inner = made
        made = words.build(lambda: Pipeline(*transforms, inner))
    while (word := words.peek()) is not None:
        made = _read_refine(words, word, made)
    if dim is not None:
        _check_dim(spec, dim)
    return made


def whole(value: int, name: str) -> int:
    """Return the integer that a value is."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected an integer") from None


def _read_transforms(words: Words) -> list[Transform]:
    transforms: list[Transform] = []
    while (word := words.peek()) is not None:
        try:
            found = transforms_of(word, words.bits_of_pq())
        except ValueError as error:
            raise ValueError(f"{words.here()}: {error}") from None
        if found is None:
            return [*transforms, Rotation()] if ROTATED_LSH.fullmatch(word) else transforms
        transforms += found
        words.take()
    return transforms


def _read_bits(words: Words, metric: Metric) -> Index | None:
    word = words.peek() or ""
    graph, lists, tables = GRAPH.fullmatch(word), LISTS.fullmatch(word), TABLES.fullmatch(word)
    if word != "BFlat" and not any(match and match[1] for match in (graph, lists, tables)):
        return None
    words.take()
    if metric not in ("hamming", "l2"):
        raise ValueError(f'metric "{metric}" does not go with "{word}", expected "hamming"')
    if words.peek() is not None:
        raise ValueError(f"{words.here()}, does not belong there: expected nothing after {word}")
    if lists:
        return words.build(lambda: _lists_of(lists, Bits(), None, "hamming"))
    if graph:
        return words.build(lambda: HNSW(degree=2 * int(graph[2]), codec=Bits(), metric="hamming"))
    if tables:
        return words.build(lambda: MultiIndexHash(tables=int(tables[2]) if tables[2] else None))
    return Flat(codec=Bits(), metric="hamming")


def _lists_of(match: re.Match[str], codec: Codec, residual: bool | None, metric: Metric) -> Index:
    """Make the index of a word that LISTS matches."""
    n, half = int(match[2]) * _UNITS[match[3]], half_degree(match)
    of_centroids: Codec = Bits() if metric == "hamming" else Raw("f32")
    coarse = HNSW(degree=2 * half, codec=of_centroids, metric=metric) if half else None
    return IVF(lists=n, codec=codec, residual=residual, coarse=coarse, metric=metric)


def _read_codec(words: Words, word: str, state: str) -> tuple[Codec, bool | None]:
    try:
        found = codec_of(word)
    except ValueError as error:
        raise ValueError(f"{words.here()}: {error}") from None
    if found is None:
        words.fail(state)
    return found


def _read_rows(words: Words, metric: Metric) -> Index:
    word = words.peek()
    if match := ROTATED_LSH.fullmatch(word or ""):  # the rotation is among the transforms already
        word = "LSH" + match[1]
    lists, graph = LISTS.fullmatch(word or ""), GRAPH.fullmatch(word or "")
    if graph and not graph[1]:
        return _read_graph(words, metric, int(graph[2] or HALF_DEGREE))
    if (tables := TABLES.fullmatch(word or "")) and not tables[1]:
        return _read_tables(words, metric, int(tables[2]) if tables[2] else None)
    if lists and lists[1]:
        lists = None  # bits follow no transform
    if lists:
        words.take()
        word = words.peek()
    if word is None:
        words.fail("codec" if lists else "transform")
    codec, residual = _read_codec(words, word, "codec" if lists else "transform")
    if lists:
        if residual is None and re.match(r"PQ\d+x4", word):
            residual = True
        of_lists = lists
        made = words.build(lambda: _lists_of(of_lists, codec, residual, _metric_over(codec, metric)))
    else:
        made = words.build(lambda: Flat(codec=codec, metric=_metric_over(codec, metric)))
    words.take()
    return made


def _read_graph(words: Words, metric: Metric, half: int) -> Index:
    codec: Codec = Raw("f32")
    words.take()
    word = words.peek()
    if word is not None and not REFINE.fullmatch(word):
        codec, _ = _read_codec(words, word, "codec")
        words.take()
    return words.build(lambda: HNSW(degree=2 * half, codec=codec, metric=_metric_over(codec, metric)))


def _read_tables(words: Words, metric: Metric, tables: int | None) -> Index:
    codec: Codec = SignBits()
    words.take()
    word = words.peek()
    if word is not None and not REFINE.fullmatch(word):
        codec, _ = _read_codec(words, word, "signs")
        if not isinstance(codec, SignBits) or codec.asymmetric:
            words.fail("signs")
        words.take()
    _metric_over(codec, metric)
    return words.build(lambda: MultiIndexHash(codec=codec, tables=tables))


def _metric_over(codec: Codec, metric: Metric) -> Metric:
    if not isinstance(codec, SignBits) or codec.asymmetric:
        return metric
    if metric not in ("hamming", "l2"):
        raise ValueError(f'metric "{metric}" does not go with LSH, expected "hamming"; "l2" and "ip" with LSHa')
    return "hamming"


def _read_refine(words: Words, word: str, base: Index) -> Index:
    match = REFINE.fullmatch(word)
    if match is None:
        words.fail("refine")
    inside = match[1]
    codec, _ = _read_codec(words, "Flat" if inside is None else inside, "refine")
    words.take()
    return words.build(lambda: Refine(base, codec=codec))


def _check_dim(spec: str, dim: int) -> None:
    """Refuse what ``fit`` would, where the dimension tells already."""
    if dim < 1:
        raise ValueError(f"dim is {dim}, expected 1 or more")
    width = dim
    for at, word in enumerate(Words(spec).words, 1):
        where = f'"{word[1]}", word {at} of "{spec}"'
        refined = REFINE.fullmatch(word[1])
        here = dim if refined else width
        groups = re.fullmatch(r"O?PQ(\d+).*", (refined[1] or "") if refined else word[1])
        for transform in transforms_of(word[1]) or []:
            width = transform.dim_out or width
            if width > here:
                raise ValueError(f"{where}, gets rows of dimension {here}, expected at least {width}")
        coded = width if word[1].startswith("OPQ") else here
        if groups and coded % int(groups[1]) != 0:
            raise ValueError(f"{where}, gets rows of dimension {coded}, expected a multiple of {groups[1]}")
        if TABLES.fullmatch(word[1]) and here > _WIDEST_MIH:
            raise ValueError(f"{where}, gets rows of dimension {here}, expected at most {_WIDEST_MIH}")
        if (word[1] == "BFlat" or word[1].startswith(("BHNSW", "BIVF", "BMIH"))) and dim % 8 != 0:
            raise ValueError(f"{where}, gets rows of {dim} bits, expected a multiple of 8")
