"""Which index suits, by a table of measurements."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, TypeGuard

from annkit import _measured
from annkit._estimate import EXACT, MARGIN, Estimate, Mode, Set, read
from annkit._factory import Metric, whole
from annkit._memory import memory_of
from annkit._words import did_you_mean

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_EXACT = {  # words that keep rows of these types as they are
    "float32": "Flat",
    "float64": "Flat",
    "float16": "SQfp16",
    "bfloat16": "SQbf16",
    "uint8": "SQ8_direct",
    "int8": "SQ8_direct_signed",
}
# {narrow}: a quarter of the dimensions, or 64. {quarter}: groups of about 4 dimensions. PQ of 4 bits is for what
# RaBitQ's factors, 8 to 20 bytes a row, leave no room for.
FLOATS = (
    *["Flat", "HNSW16", "HNSW16,SQ8,Refine(SQfp16)", "HNSW16,SQ8", "PCA{narrow},HNSW16,SQ8,Refine(SQfp16)"],
    *["PCA{narrow},HNSW16,SQ8,Refine(SQ8)", "IVF{lists},SQfp16", "IVF{lists},SQ8,Refine(SQfp16)", "IVF{lists},SQ8"],
    *["PCA{narrow},IVF{lists},SQ8,Refine(SQfp16)", "PCA{narrow},IVF{lists},SQ8,Refine(SQ8)"],
    *(f"IVF{{lists}},RaBitQ{bits}" for bits in (7, 5, 4, 3, 2, "")),
    "IVF{lists},PQ{quarter}x4fsr",
)
BITS = ("BFlat", "BHNSW16", "BIVF{lists}", "BMIH")
_MODES = ("batch", "single")
_METRICS = ("l2", "euclidean", "ip", "cosine", "hamming")
_MOST_BITS = 1024  # of BMIH
_MOST_ROWS, _MOST_LINKED, _WIDEST, _WIDEST_PCA = (1 << 32) - 2, (1 << 31) - 2, 1 << 24, 1 << 16  # what indexes take
# From so many lists on a graph of the centroids finds them: bench/bars.py coarse, 500,000 rows of sift, 1 to 1.7 times
# as fast in batches and 3.3 to 5.5 times one by one, at 16,384 and 32,768 lists.
_MANY_LISTS = 1 << 14
# PCA to fewer dimensions leaves too little to tell rows apart: in batches on 200,000 rows of sift in lists of SQ8, at a
# recall of 0.95, a query takes 1.7 times as long with 32 of 128 dimensions as with all, and 0.9 times with 64.
_NARROWEST = 64
# A graph walks through fewer dimensions as fast as they are.
_LEAST_FOR_GRAPHS = 256
# With fewer rows a query takes Flat so few microseconds that a loss of recall is not worth what is left to gain.
FEW = 5000
# With fewer, fit warns (kLeastRowsPerCentroid in math/kmeans.h).
_LEAST_ROWS_A_LIST = 39
# Of kinds that are nearly as fast as the fastest, the one that is built soonest.
_NEARLY = 1.1
# Of what reaches the recall on the data measured and would not with a margin.
_NARROWLY = "On data that is harder to tell apart it may miss that recall; what is safer does not fit the memory."
# What PCA in front gives hangs on the data: it has to promise so many times the speed of the others.
_PCA_GAIN = 1.25


class Recommendation(NamedTuple):
    """What ``recommend`` advises.

    Attributes
    ----------
    factory : str
        For ``annkit.index``.
    memory : int
        The bytes it will take: ``index.nbytes``, within a few percent.
    reason : str
        The figures behind it.
    """

    factory: str
    memory: int
    reason: str


class _Offer(NamedTuple):
    """A kind of index, as it would be for the rows in question."""

    spec: str
    memory: int
    most: float
    micros: float  # of a query at the recall; infinite where it is not reached
    build: float  # seconds


def _groups(dim: int, width: int) -> int:
    """Return how many groups of that many dimensions, or somewhat more, there are; 0 where dim has no such divisor."""
    return next((dim // size for size in range(width, 2 * width + 1) if dim % size == 0), 0)


def spec_of(kind: str, n: int, dim: int) -> str | None:
    """Return the factory string of a kind for n rows; None where the dimension does not allow it."""
    trainable = max(n // _LEAST_ROWS_A_LIST, 1).bit_length() - 1
    lists = 1 << min(20, max(4, round(math.log2(4 * math.sqrt(n)))), max(trainable, 2))
    narrow, quarter = max(dim // 4, _NARROWEST), _groups(dim, 4)
    if "{narrow}" in kind and (2 * narrow > dim or ("HNSW" in kind and dim < _LEAST_FOR_GRAPHS)):
        return None
    if ("{narrow}" in kind and dim > _WIDEST_PCA) or ("HNSW" in kind and n > _MOST_LINKED):
        return None
    if ("{quarter}" in kind and quarter == 0) or (kind == "BMIH" and dim > _MOST_BITS):
        return None
    graph = "_HNSW32" if lists >= _MANY_LISTS else ""
    return kind.format(lists=f"{lists}{graph}", narrow=narrow, quarter=quarter)


def _as_given(spec: str, dtype: str) -> str:
    """Return the string that keeps rows of a type as they are where `spec` keeps floats, or makes bytes of them."""
    exact = _EXACT[dtype]
    if exact == "Flat":
        return spec
    if dtype in ("uint8", "int8"):
        # Bytes as they are take no more than SQ8 and are scanned and walked over as fast: nothing is left to refine.
        bare, _, finer = spec.partition(",Refine(")
        if spec.startswith("PCA"):
            return f"{bare},Refine({exact})" if finer else spec
        spec = re.sub("SQ(8|fp16)$", exact, bare)
    if spec in ("Flat", "HNSW16"):
        return exact if spec == "Flat" else f"HNSW16,{exact}"
    return spec.replace("SQfp16", exact)


def _offers(estimate: Estimate, recall: float, dtype: str, metric: Metric, margin: float) -> list[_Offer]:
    """Return the kinds; those that come to the same for rows of this type are one, as fast as its fastest."""
    offers: dict[str, _Offer] = {}
    for kind in BITS if metric == "hamming" else FLOATS:
        spec = spec_of(kind, estimate.n, estimate.dim)
        if spec is None or ("PCA" in kind and metric == "ip"):  # without the mean, inner products have another order
            continue
        if metric != "hamming":
            spec = _as_given(spec, dtype)
        most = estimate.most(kind, margin)
        able = most >= recall if recall < 1 else kind in EXACT
        micros = estimate.micros(kind, recall) if able else math.inf
        build = estimate.build(kind)
        offer = _Offer(spec, memory_of(spec, estimate.n, estimate.dim, metric), most, micros, build)
        if (same := offers.get(spec)) is not None:
            offer = min(same, offer, key=lambda one: one.micros)._replace(most=max(same.most, most))
        offers[spec] = offer
    return list(offers.values())


def _bytes_from(memory: float | str | None) -> float:
    if memory is None:
        return math.inf
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", memory.lower())
        if match is None:
            raise ValueError(f'memory is "{memory}", expected bytes, or a string such as "8GB" or "512 MiB"')
        value = float(match[1]) * _UNITS[match[2] or ""]
    elif _is_number(memory):
        try:
            value = float(memory)
        except OverflowError:
            assert isinstance(memory, int)  # others are no larger than floats
            value = math.inf if memory > 0 else -math.inf
    else:
        raise TypeError(f'memory is {memory!r}, expected bytes as a number, or a string such as "8GB"')
    if not value > 0:
        raise ValueError(f"memory is {memory}, expected more than 0")
    return value


def _is_number(value: object) -> TypeGuard[SupportsFloat]:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(size: float) -> str:
    unit = next((unit for unit in ("TB", "GB", "MB", "kB") if size >= _UNITS[unit[0].lower()]), "")
    return f"{size / _UNITS[unit[0].lower()]:.3g} {unit}" if unit else f"{size:.0f} bytes"


def _choose(offers: Sequence[_Offer], limit: float, few: bool) -> _Offer | None:
    """Return the fastest that fits, or one nearly as fast that is built sooner."""
    able = [one for one in offers if one.micros < math.inf and one.memory <= limit]
    if not able or (few and able[0] is offers[0]):
        return able[0] if able else None
    slow = [one.micros * (_PCA_GAIN if one.spec.startswith("PCA") else 1) for one in able]
    near = [one for one, micros in zip(able, slow, strict=True) if micros <= _NEARLY * min(slow)]
    return min(near, key=lambda one: one.build)


def _refusal(offers: Sequence[_Offer], limit: float, recall: float) -> str:
    """Say what the least would be that reaches the recall, and what recall there is within the memory."""
    least = min((one for one in offers if one.micros < math.inf), key=lambda one: one.memory)
    within = [one for one in offers if one.memory <= limit]
    best = max(within, key=lambda one: one.most) if within else min(offers, key=lambda one: one.memory)
    rest = "within the memory is" if within else "the least of all is"
    return (
        f"nothing with a recall of {recall:g} fits {_text(limit)}: the least is {least.spec}, {_text(least.memory)}; "
        f"{rest} {best.spec}, {_text(best.memory)}, with a recall of {math.floor(1000 * best.most) / 1000:g}"
    )


def _reason(chosen: _Offer, exact: _Offer, estimate: Estimate, recall: float) -> str:
    n, near = estimate.n, estimate.nearest()
    asked = "in batches" if estimate.mode == "batch" else "one a call"
    rate, slow = (_digits(1e6 / one.micros) for one in (chosen, exact))
    parts = [
        f"{chosen.spec} takes {_text(chosen.memory)}, {chosen.memory / n:.0f} bytes a row, and is built in "
        f"{_seconds(chosen.build)}."
    ]
    if chosen is exact:
        parts.append(f"It compares every row as it is, and answers about {rate} queries a second {asked}.")
    else:
        parts.append(
            f"It answers about {rate} queries a second {asked} at a recall of {recall:g}, where comparing every row "
            f"answers {slow}."
        )
    if n <= FEW and chosen is exact:
        parts.append(f"With {n:,} rows there is little to gain.")
    parts.append(
        f"Figures of one thread, from data sets of {min(one.dim for one in estimate.sets)} to "
        f"{max(one.dim for one in estimate.sets):,} dimensions, most of all {near.name}."
    )
    if n > 2 * (largest := estimate.largest()):
        parts.append(f"Beyond {largest:,} rows they are extrapolated.")
    return " ".join(parts)


def _digits(value: float) -> str:
    """Write two digits: an estimate is worth no more."""
    return f"{float(f'{value:.1e}'):,g}" if value < 1e6 else f"{value / 1e6:.2g} million"


def _seconds(value: float) -> str:
    for unit, size in (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0)):
        if value >= 2 * size:
            return f"about {_digits(value / size)} {unit}"
    return "2 seconds or less"


def advise(
    sets: Sequence[Set], *, n: int, dim: int, limit: float, recall: float, dtype: str, metric: Metric, mode: Mode
) -> Recommendation:
    """Advise by what was measured on these sets."""
    estimate = Estimate(sets, BITS[0] if metric == "hamming" else FLOATS[0], n, dim, mode)
    for margin in (MARGIN, 1.0):
        offers = _offers(estimate, recall, dtype, metric, margin)
        chosen = _choose(offers, limit, n <= FEW)
        if chosen is not None:
            reason = _reason(chosen, offers[0], estimate, recall)
            return Recommendation(chosen.spec, chosen.memory, reason if margin > 1 else f"{reason} {_NARROWLY}")
    raise ValueError(_refusal(offers, limit, recall))


def recommend(
    *,
    n: int,
    dim: int,
    memory: float | str | None = None,
    recall: float = 0.95,
    dtype: str = "float32",
    metric: Metric = "l2",
    mode: Mode = "batch",
) -> Recommendation:
    """Advise which index to make.

    The fastest, by a table of measurements (``bench/choose.py`` makes it again), of the kinds that reach the recall and
    fit the memory; of those nearly as fast, the one that is built soonest. The table has the seconds of building and of
    queries at recalls from 0.8 to 0.99, with one thread and 10 neighbours, of image features, word vectors, mixtures
    and packed codes of several sizes; between them it is interpolated, and beyond them extrapolated, which the reason
    says. ``annkit.tune`` finds the settings, and what holds for other data.

    Parameters
    ----------
    n : int
        Rows there will be.
    dim : int
        Their dimension; of bits, how many.
    memory : float or str, optional
        The most bytes that the index may take: a number, or such as "8GB" (10 ** 9 bytes) or "512 MiB" (2 ** 20).
    recall : float, default 0.95
        The share of the 10 nearest that is to be found; 1 for all of them.
    dtype : {"float32", "float64", "float16", "bfloat16", "uint8", "int8", "bits"}, default "float32"
        Of the rows. Smaller ones take less where rows are kept as they are. "bits" are packed, 8 in a uint8, and
        compared by "hamming".
    metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
        "hamming" is of bits.
    mode : {"batch", "single"}, default "batch"
        How queries come: many a call, or one.

    Returns
    -------
    Recommendation
        Its ``factory`` is for ``annkit.index``, ``memory`` what ``index.nbytes`` will be.

    Raises
    ------
    ValueError
        Nothing that reaches the recall fits the memory: the message says what the least would be, and what recall there
        is within it. Arguments out of range.

    Examples
    --------
    >>> import annkit as ak
    >>> advice = ak.recommend(n=1_000_000, dim=384, memory="500MB")
    >>> advice.factory
    'IVF4096,RaBitQ7'
    >>> index = ak.index(advice.factory, 384)
    >>> ak.recommend(n=1_000_000, dim=256, dtype="bits", recall=1).factory
    'BFlat'
    """
    n, dim = whole(n, "n"), whole(dim, "dim")
    if n < 1 or dim < 1:
        raise ValueError(f"n is {n} and dim is {dim}, expected 1 or more")
    if n > _MOST_ROWS or dim > _WIDEST:
        raise ValueError(f"n is {n} and dim is {dim}, an index takes at most {_MOST_ROWS} rows of {_WIDEST} dimensions")
    if not _is_number(recall):
        raise TypeError(f"recall is {recall!r}, expected a number")
    if not 0 < float(recall) <= 1:
        raise ValueError(f"recall is {recall!s}, expected more than 0 and at most 1")
    recall = float(recall)
    if mode not in _MODES:
        raise ValueError(f'mode is "{mode}", expected "batch" or "single"{did_you_mean(mode, _MODES)}')
    if metric not in _METRICS:
        wanted = did_you_mean(metric, _METRICS)
        raise ValueError(f'metric is "{metric}", expected one of {", ".join(_METRICS)}{wanted}')
    limit = _bytes_from(memory)
    if dtype == "bits":
        metric = "hamming"
    bits = metric == "hamming"
    if bits and dim % 8 != 0:
        raise ValueError(f"dim is {dim}, expected a multiple of 8 bits")
    if not bits and dtype not in _EXACT:
        wanted = did_you_mean(dtype, [*_EXACT, "bits"])
        raise ValueError(f'dtype is "{dtype}", expected one of {", ".join(_EXACT)}, bits{wanted}')
    sets = read(_measured.BITS if bits else _measured.FLOATS)
    return advise(sets, n=n, dim=dim, limit=limit, recall=recall, dtype=dtype, metric=metric, mode=mode)
