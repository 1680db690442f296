"""Factory strings: an index in a line, in Faiss's spelling."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Literal, NoReturn

from annkit._core import (
    HNSW,
    ITQ,
    IVF,
    OPQ,
    PCA,
    PQ,
    SQ,
    Bits,
    Center,
    Codec,
    Flat,
    Index,
    MultiIndexHash,
    Normalize,
    Pipeline,
    RaBitQ,
    Raw,
    Refine,
    Rotation,
    SignBits,
    Transform,
)

Metric = Literal["l2", "euclidean", "ip", "cosine", "hamming"]

_IDMAP = re.compile(r"IDMap2?")
_IVF = re.compile(r"(B?)IVF([1-9]\d*)([kM]?)(?:_HNSW([1-9]\d*))?")
_HNSW = re.compile(r"(B?)HNSW([1-9]\d*)")
_MIH = re.compile(r"(B?)MIH([1-9]\d*)?")
_ROTATED_LSH = re.compile(r"LSHr(t?a?)")
_WIDEST_MIH = 1024  # bits
_REFINE = re.compile(r"RFlat|Refine\((.*)\)")
_OPQ_BITS = 4  # where no PQ follows: its own default
_UNITS = {"": 1, "k": 1 << 10, "M": 1 << 20}

_EXPECTED = {
    "transform": "a transform (PCA64, PCAR64, PCAW64, OPQ32, OPQ32_64, ITQ64, RR, HR, L2norm, Center), IVF1024, "
    "HNSW32, MIH or a codec",
    "codec": "a codec (Flat, SQ8, SQ6, SQ4, SQfp16, SQbf16, PQ32, PQ32x10, PQ32x4fs, PQ32x4fsr, RaBitQ, RaBitQ4, LSH)",
    "signs": "signs (LSH, LSHt) or the end",
    "refine": "RFlat, a refinement such as Refine(SQ8), or the end",
}
_SPELLINGS = {
    "transform": [
        "PCA64",
        "PCAR64",
        "PCAW64",
        "PCAWR64",
        "OPQ32",
        "OPQ32_64",
        "ITQ64",
        "RR",
        "RR64",
        "HR",
        "HR64",
        "L2norm",
        "Center",
        "IVF1024",
        "IVF1024_HNSW32",
        "HNSW32",
        "BHNSW32",
        "BFlat",
        "BIVF1024",
        "BIVF1024_HNSW32",
        "MIH",
        "BMIH",
        "IDMap",
    ],
    "codec": [
        "Flat",
        "SQ8",
        "SQ6",
        "SQ4",
        "SQfp16",
        "SQbf16",
        "SQ8_direct",
        "PQ32",
        "PQ32x4fs",
        "PQ32x4fsr",
        "PQ32x10",
        "RaBitQ",
        "RaBitQ4",
        "RaBitQfs",
        "LSH",
        "LSHt",
        "LSHa",
    ],
    "signs": ["LSH", "LSHt"],
    "refine": ["RFlat", "Refine(Flat)", "Refine(SQ8)", "Refine(SQfp16)", "IDMap", "IDMap2"],
}
# Words of Faiss that nothing here answers to.
_ABSENT = (
    (r"HNSW\d*_.*", "a codec follows the comma: HNSW32,SQ8"),
    (r"NSG.*|NNDescent.*", "annkit has one kind of graph: HNSW32 takes its place"),
    (
        r"IVF\d+[kM]?_NSG.*",
        "annkit has one kind of graph: IVF1024_HNSW32 takes its place",
    ),
    (r"IVF\d+[kM]?\(.*\)", "a graph finds the lists of annkit's IVF, if anything does: IVF1024_HNSW32"),
    (r"IMI.*", "annkit has no multi-index: IVF with more lists takes its place"),
    (r"LSH\d+r?t?", "a transform gives the number of bits: RR64,LSH, PCA64,LSH or ITQ64,LSH"),
    (r"ITQ", "annkit's ITQ says how many bits it makes: ITQ64"),
    (r"P?(RQ|LSQ)\d.*|RCQ.*|ZnLattice.*", "annkit has no additive or lattice codes: PQ and RaBitQ take their place"),
    (r"Pad\d+", "annkit does not pad rows"),
    (r"FlatDedup", "annkit keeps equal rows apart: Flat takes its place"),
    (r"SQ0|SQ(tqmse|eden|tq)\d?", "annkit has SQ8, SQ6, SQ4, SQfp16 and SQbf16, and RaBitQ for fewer bits"),
    (r"PQ\d+\+\d+", "annkit refines by a word at the end: PQ32,Refine(PQ16)"),
)


def _transforms(word: str, bits: int = _OPQ_BITS) -> list[Transform] | None:
    """Return what a word stands for; bits are those of the PQ behind it, for which OPQ learns its rotation."""
    if match := re.fullmatch(r"PCA(W?)(R?)(\d+)", word):
        pca = PCA(int(match[3]), whiten=bool(match[1]))
        return [pca, Rotation()] if match[2] else [pca]
    if match := re.fullmatch(r"OPQ(\d+)(?:_(\d+))?", word):
        return [OPQ(int(match[1]), dim=int(match[2]) if match[2] else None, bits=bits)]
    if match := re.fullmatch(r"(RR|HR)(\d+)?", word):
        dim = int(match[2]) if match[2] else None
        return [Rotation(dim, kind="hadamard" if match[1] == "HR" else "random")]
    if match := re.fullmatch(r"ITQ(\d+)", word):
        return [ITQ(int(match[1]))]
    if re.fullmatch(r"L2[nN]orm", word):
        return [Normalize()]
    return [Center()] if word == "Center" else None


_RawType = Literal["f32", "f16", "bf16", "u8", "i8"]
_RAW: dict[str, _RawType] = {
    "Flat": "f32",
    "SQfp16": "f16",
    "SQbf16": "bf16",
    "SQ8_direct": "u8",
    "SQ8_direct_signed": "i8",
}


def _codec(word: str) -> tuple[Codec, bool | None] | None:
    """Return the codec, and whether lists hold residuals (None: the codec's own way)."""
    if word in _RAW:
        return Raw(_RAW[word]), None
    if match := re.fullmatch(r"SQ([468])", word):
        return SQ(int(match[1])), None
    # Faiss's fast-scan is for 4 bits, of rows as they are unless an r says residuals; _64 is its block size.
    if match := re.fullmatch(r"PQ(\d+)x4fs(r?)(?:_\d+)?", word):
        return PQ(int(match[1]), bits=4), bool(match[2])
    if match := re.fullmatch(r"PQ(\d+)(?:x(\d+))?(?:np)?", word):
        return PQ(int(match[1]), bits=int(match[2] or 8)), None
    if match := re.fullmatch(r"RaBitQ(?:fs)?([1-9])?(?:_\d+)?", word):
        return RaBitQ(int(match[1] or 1)), None
    if match := re.fullmatch(r"LSH(t?)(a?)", word):
        return SignBits("median" if match[1] else "zero", asymmetric=bool(match[2])), None
    return None


class _Words:
    """The words of a string, one after the other, and the messages about them."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.words: list[tuple[int, str]] = []
        start = depth = 0
        for at, letter in enumerate(spec + ","):
            depth += (letter == "(") - (letter == ")")
            if letter == "," and (depth <= 0 or at == len(spec)):
                self.words.append((start, spec[start:at]))
                start = at + 1
        self.next = 0

    def peek(self) -> str | None:
        while self.next < len(self.words) and _IDMAP.fullmatch(self.words[self.next][1]):
            self.next += 1
        return self.words[self.next][1] if self.next < len(self.words) else None

    def bits_of_pq(self) -> int:
        """Return the bits of the PQ that follows, or else those that OPQ has by itself."""
        for _, word in self.words[self.next :]:
            try:
                found = _codec(word)
            except ValueError:  # which the word's own turn reports
                break
            if found is not None:
                return found[0].bits if isinstance(found[0], PQ) else _OPQ_BITS
        return _OPQ_BITS

    def take(self) -> None:
        self.next += 1

    def here(self) -> str:
        at, word = self.words[self.next]
        return f'"{word}", word {self.next + 1} of "{self.spec}" (from character {at + 1} on)'

    def build(self, make: Callable[[], Index]) -> Index:
        """Make a part, and say of which word its error is."""
        try:
            return make()
        except ValueError as error:
            raise ValueError(f'factory string "{self.spec}": {error}') from None

    def fail(self, state: str) -> NoReturn:
        expected = f"expected {_EXPECTED[state]}"
        if self.peek() is None:
            raise ValueError(f'factory string "{self.spec}" ends too early: {expected}')
        word = self.words[self.next][1]
        for pattern, why in _ABSENT:
            if re.fullmatch(pattern, word):
                raise ValueError(f"{self.here()}, is Faiss's: {why}")
        states = ["transform", "codec"] if state == "transform" else [state]
        spellings = [spelling for one in states for spelling in _SPELLINGS[one]]
        # Numbers are left out of the comparison, and put back.
        folded = {re.sub(r"\d+", "", spelling).lower(): spelling for spelling in reversed(spellings)}
        exact = {spelling.lower(): spelling for spelling in spellings}
        close = difflib.get_close_matches(word.lower(), exact, 1, 0.6)
        hint = exact[close[0]] if close else None
        if hint is None and (near := difflib.get_close_matches(re.sub(r"\d+", "", word).lower(), folded, 1, 0.6)):
            hint = folded[near[0]]
        mean = f'; did you mean "{hint}"?' if hint and hint != word else ""
        indexes = (_IVF, _HNSW, _MIH, _ROTATED_LSH)
        known = bool(_transforms(word) or _codec(word) or any(index.fullmatch(word) for index in indexes))
        known = known or word in ("BFlat", "RFlat")
        what = "does not belong there" if known else "is not known"
        raise ValueError(f"{self.here()}, {what}: {expected}{mean}")


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
    ``IVF65536_HNSW32``  ``IVF(lists=65536, coarse=HNSW(degree=64))``: a graph finds the lists
    ``HNSW32``           ``HNSW(degree=64)``, over rows as they are unless a codec follows, as in ``HNSW32,SQ8``
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
    words = _Words(spec)
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


def _read_transforms(words: _Words) -> list[Transform]:
    transforms: list[Transform] = []
    while (word := words.peek()) is not None:
        try:
            found = _transforms(word, words.bits_of_pq())
        except ValueError as error:
            raise ValueError(f"{words.here()}: {error}") from None
        if found is None:
            return [*transforms, Rotation()] if _ROTATED_LSH.fullmatch(word) else transforms
        transforms += found
        words.take()
    return transforms


def _read_bits(words: _Words, metric: Metric) -> Index | None:
    word = words.peek() or ""
    graph, lists, tables = _HNSW.fullmatch(word), _IVF.fullmatch(word), _MIH.fullmatch(word)
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
    """Make the index of a word that _IVF matches."""
    n, half = int(match[2]) * _UNITS[match[3]], int(match[4] or 0)
    of_centroids: Codec = Bits() if metric == "hamming" else Raw("f32")
    coarse = HNSW(degree=2 * half, codec=of_centroids, metric=metric) if half else None
    return IVF(lists=n, codec=codec, residual=residual, coarse=coarse, metric=metric)


def _read_codec(words: _Words, word: str, state: str) -> tuple[Codec, bool | None]:
    try:
        found = _codec(word)
    except ValueError as error:
        raise ValueError(f"{words.here()}: {error}") from None
    if found is None:
        words.fail(state)
    return found


def _read_rows(words: _Words, metric: Metric) -> Index:
    word = words.peek()
    if match := _ROTATED_LSH.fullmatch(word or ""):  # the rotation is among the transforms already
        word = "LSH" + match[1]
    lists, graph = _IVF.fullmatch(word or ""), _HNSW.fullmatch(word or "")
    if graph and not graph[1]:
        return _read_graph(words, metric, int(graph[2]))
    if (tables := _MIH.fullmatch(word or "")) and not tables[1]:
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


def _read_graph(words: _Words, metric: Metric, half: int) -> Index:
    codec: Codec = Raw("f32")
    words.take()
    word = words.peek()
    if word is not None and not _REFINE.fullmatch(word):
        codec, _ = _read_codec(words, word, "codec")
        words.take()
    return words.build(lambda: HNSW(degree=2 * half, codec=codec, metric=_metric_over(codec, metric)))


def _read_tables(words: _Words, metric: Metric, tables: int | None) -> Index:
    codec: Codec = SignBits()
    words.take()
    word = words.peek()
    if word is not None and not _REFINE.fullmatch(word):
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


def _read_refine(words: _Words, word: str, base: Index) -> Index:
    match = _REFINE.fullmatch(word)
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
    for at, word in enumerate(_Words(spec).words, 1):
        where = f'"{word[1]}", word {at} of "{spec}"'
        refined = _REFINE.fullmatch(word[1])
        here = dim if refined else width
        groups = re.fullmatch(r"O?PQ(\d+).*", (refined[1] or "") if refined else word[1])
        for transform in _transforms(word[1]) or []:
            width = transform.dim_out or width
            if width > here:
                raise ValueError(f"{where}, gets rows of dimension {here}, expected at least {width}")
        coded = width if word[1].startswith("OPQ") else here
        if groups and coded % int(groups[1]) != 0:
            raise ValueError(f"{where}, gets rows of dimension {coded}, expected a multiple of {groups[1]}")
        if _MIH.fullmatch(word[1]) and here > _WIDEST_MIH:
            raise ValueError(f"{where}, gets rows of dimension {here}, expected at most {_WIDEST_MIH}")
        if (word[1] == "BFlat" or word[1].startswith(("BHNSW", "BIVF", "BMIH"))) and dim % 8 != 0:
            raise ValueError(f"{where}, gets rows of {dim} bits, expected a multiple of 8")
