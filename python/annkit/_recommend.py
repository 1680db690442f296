"""Which index suits: a table of measurements, and what indexes take."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from annkit._factory import Metric

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_RAW_BYTES = {"Flat": 4, "SQfp16": 2, "SQbf16": 2, "SQ8_direct": 1, "SQ8_direct_signed": 1}
_EXACT = {  # words that keep rows of these types as they are
    "float32": "Flat",
    "float64": "Flat",
    "float16": "SQfp16",
    "bfloat16": "SQbf16",
    "uint8": "SQ8_direct",
    "int8": "SQ8_direct_signed",
}
# What a list takes without its rows, and each of its columns, in bytes; room for columns comes in powers of two.
_LIST, _COLUMN = 192, 104


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


def _code(word: str, dim: int, metric: Metric, lists: bool) -> tuple[float, float, int]:
    """Return bytes a row, of them those in blocks of 32 rows, and the number of columns."""
    l2 = metric in ("l2", "euclidean")
    if word in _RAW_BYTES:
        return _RAW_BYTES[word] * dim + 4, 0, 2
    if match := re.fullmatch(r"SQ(\d)", word):
        sides = 2 if l2 else 1
        return math.ceil(dim * int(match[1]) / 8) + 4 * sides, 0, 1 + sides
    if match := re.fullmatch(r"PQ(\d+)x4fs(r?)", word):
        code = math.ceil(int(match[1]) / 2)
        side = 4 if match[2] and l2 and lists else 0
        return code + side, code, 1 + side // 4
    if match := re.fullmatch(r"RaBitQ(\d?)", word):
        bits, plane = int(match[1] or 1), math.ceil(dim / 8)
        rest = 4 + (8 if lists else 4) + (bits - 1) * plane if bits > 1 else 0
        return plane + 8 + rest, plane, 3 + (2 if bits > 1 else 0)
    raise ValueError(f'"{word}" has no formula of its memory')


def memory_of(spec: str, n: int, dim: int, metric: Metric = "l2") -> int:
    """Return what ``index.nbytes`` of n rows, added at once, comes to."""
    refined = re.fullmatch(r"(.*?),(?:RFlat|Refine\((.*)\))", spec)
    total = 0.0
    if refined:
        total += _code(refined[2] or "Flat", dim, metric, False)[0] * n
    for word in (refined[1] if refined else spec).split(","):
        if match := re.fullmatch(r"PCA(\d+)", word):
            dim = int(match[1])
    base = (refined[1] if refined else spec).split(",")
    lists = next((int(word[3:]) for word in base if word.startswith("IVF")), 0)
    row, blocks, columns = _code(base[-1], dim, metric, lists > 0)
    total += row * n
    if lists:
        # Row numbers; centroids twice, of which once with norms; about half a block a list is empty.
        total += 4 * n + lists * (8 * dim + 4 + _LIST + _COLUMN * (1 << (columns - 1).bit_length()) + 18 * blocks)
    return int(total)


class _Rule(NamedTuple):
    """A kind of index and what was measured of it."""

    words: str  # {lists}; {half}, {quarter}: groups of about 2 and 4 dimensions; {exact}: rows as they are given
    most: float  # the least, over the data sets, of the recalls that its settings reach
    speed: str  # queries a second beside Flat's at a recall of .95, or .90; empty where neither is reached


# bench/choose.py, 10 neighbours, one thread of two shared cores with AVX-512: sift-128, fashion-mnist-784, w2v-100,
# and mixtures in 96, 384 and 768 dimensions. Speeds are of 30,000 rows, and single ones good to a factor of 1.5; their
# order is that of the median at .95 (at .90 where that is out of reach). Recalls are the least of 30,000 rows and, of
# the real data, up to 100,000, where neighbours lie closer and codes tell them apart less well: 4 bits of RaBitQ
# reached .947 on sift at 30,000 rows, .936 at 100,000.
#
# IVF,SQ8 was the fastest, or within the noise of it, at .90 and .95 on all of them. With finer codes to choose among
# its hits it goes beyond the .988 that its own codes reached on w2v. RaBitQ needs less memory than SQ at the same
# recall: it reached .93 with 4 bits where SQ4 ended at .80, and .99 with 7. What PCA in front gives hangs on the data:
# PCA to a half and SQ8 reached .70 on w2v and .94 on fashion-mnist, and with refinement it takes more than IVF,SQ8 and
# was no faster; so it is not here. PQ of 4 bits is for what RaBitQ's factors, 8 to 20 bytes a row, leave no room for.
_RULES = (
    _Rule("IVF{lists},SQ8", 0.985, "1.9 to 6.8 times"),
    _Rule("IVF{lists},SQ8,Refine({exact})", 0.999, "1.1 to 6 times"),
    _Rule("IVF{lists},SQ8,Refine(SQfp16)", 0.998, "1.9 to 5.1 times"),
    _Rule("IVF{lists},SQ6", 0.945, "1.2 to 2.5 times"),
    _Rule("IVF{lists},SQfp16", 0.995, "0.9 to 4.6 times"),
    _Rule("IVF{lists},RaBitQ7", 0.99, "0.7 to 1.9 times"),
    _Rule("IVF{lists},RaBitQ5", 0.96, "0.5 to 2 times"),
    _Rule("IVF{lists},RaBitQ4", 0.93, "0.4 to 2.2 times"),
    _Rule("IVF{lists},RaBitQ3", 0.875, "0.4 to 3.7 times"),
    _Rule("{exact}", 1.0, ""),
    _Rule("IVF{lists},RaBitQ2", 0.78, ""),
    _Rule("IVF{lists},PQ{half}x4fsr", 0.69, ""),
    _Rule("IVF{lists},RaBitQ", 0.57, ""),
    _Rule("IVF{lists},PQ{quarter}x4fsr", 0.49, ""),
)
# With fewer rows Flat takes 0.03 to 0.1 ms a query, and IVF was 0.7 to 5 times as fast: not worth a loss of recall.
_FEW = 5000


def _groups(dim: int, width: int) -> int:
    """Return how many groups of that many dimensions, or somewhat more, there are; 0 where dim has no such divisor."""
    return next((dim // size for size in range(width, 2 * width + 1) if dim % size == 0), 0)


def _spec(rule: _Rule, n: int, dim: int, dtype: str) -> str | None:
    lists = 1 << min(20, max(4, round(math.log2(4 * math.sqrt(n)))))
    half, quarter = _groups(dim, 2), _groups(dim, 4)
    if ("{half}" in rule.words and half == 0) or ("{quarter}" in rule.words and quarter == 0):
        return None
    spec = rule.words.format(lists=lists, half=half, quarter=quarter, exact=_EXACT[dtype])
    return spec.replace("Refine(Flat)", "RFlat")


def _bytes_from(memory: int | str | None) -> float:
    if memory is None:
        return math.inf
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", memory.lower())
        if match is None:
            raise ValueError(f'memory is "{memory}", expected bytes, or a string such as "8GB" or "512 MiB"')
        value = float(match[1]) * _UNITS[match[2] or ""]
    elif isinstance(memory, int) and not isinstance(memory, bool):
        value = memory
    else:
        raise TypeError(f'memory is {memory!r}, expected bytes as an int, or a string such as "8GB"')
    if value <= 0:
        raise ValueError(f"memory is {memory}, expected more than 0")
    return value


def _text(size: float) -> str:
    unit = next((unit for unit in ("TB", "GB", "MB", "kB") if size >= _UNITS[unit[0].lower()]), "")
    return f"{size / _UNITS[unit[0].lower()]:.3g} {unit}" if unit else f"{size:.0f} bytes"


def recommend(
    *,
    n: int,
    dim: int,
    memory: int | str | None = None,
    recall: float = 0.95,
    dtype: str = "float32",
    metric: Metric = "l2",
) -> Recommendation:
    """Advise which index to make.

    The fastest of a table of measured kinds (``bench/choose.py`` repeats the measurements) that reached the recall on
    every data set and fits the memory. The figures are of 30,000 to 100,000 rows and 10 neighbours, on image features,
    word vectors and mixtures. With more rows codes tell neighbours apart somewhat less well: ``annkit.tune``
    says what holds for other data, and finds the settings.

    Parameters
    ----------
    n : int
        Rows there will be.
    dim : int
        Their dimension; of bits, how many.
    memory : int or str, optional
        The most bytes that the index may take: a number, or such as "8GB" (10 ** 9 bytes) or "512 MiB" (2 ** 20).
    recall : float, default 0.95
        The share of the 10 nearest that is to be found; 1 for all of them.
    dtype : {"float32", "float64", "float16", "bfloat16", "uint8", "int8"}, default "float32"
        Of the rows. Smaller ones take less where rows are kept as they are.
    metric : {"l2", "euclidean", "ip", "cosine", "hamming"}, default "l2"
        "hamming" is of bits, which are kept as they are.

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
    >>> advice = ak.recommend(n=1_000_000, dim=384, memory="300MB")
    >>> advice.factory
    'IVF4096,RaBitQ5'
    >>> index = ak.index(advice.factory, 384)
    """
    if n < 1 or dim < 1:
        raise ValueError(f"n is {n} and dim is {dim}, expected 1 or more")
    if not 0 < recall <= 1:
        raise ValueError(f"recall is {recall}, expected more than 0 and at most 1")
    limit = _bytes_from(memory)
    if metric == "hamming":
        size = n * math.ceil(dim / 8)
        if size > limit:
            raise ValueError(f"bits take {_text(size)}, more than the {_text(limit)} of memory")
        return Recommendation(
            "BFlat", size, f"Bits are kept as they are, {math.ceil(dim / 8)} bytes a row, and all found."
        )
    if dtype not in _EXACT:
        raise ValueError(f'dtype is "{dtype}", expected one of {", ".join(_EXACT)}')
    found = [(rule, spec) for rule in _RULES if (spec := _spec(rule, n, dim, dtype))]
    sized = [(rule, spec, memory_of(spec, n, dim, metric)) for rule, spec in found]
    if n <= _FEW:
        sized.sort(key=lambda one: "IVF" in one[1])
    enough = [one for one in sized if one[0].most >= recall]
    for rule, spec, size in enough:
        if size <= limit:
            return Recommendation(spec, size, _reason(rule, spec, size, n, recall))
    _, least, smallest = min(enough, key=lambda one: one[2])
    within = [one for one in sized if one[2] <= limit]
    best = max(within, key=lambda one: one[0].most) if within else min(sized, key=lambda one: one[2])
    rest = "within the memory is" if within else "the least of all is"
    raise ValueError(
        f"nothing with a recall of {recall:g} fits {_text(limit)}: the least is {least}, {_text(smallest)}; {rest} "
        f"{best[1]}, {_text(best[2])}, with a recall of {best[0].most:g}"
    )


def _reason(rule: _Rule, spec: str, size: int, n: int, recall: float) -> str:
    takes = f"{spec} takes {_text(size)}, {size / n:.0f} bytes a row"
    if "IVF" not in spec:
        few = f" With {n:,} rows there is little for lists to gain." if n <= _FEW else ""
        return f"{takes}, and finds all neighbours: it compares every row as it is.{few}"
    speed = f" It answered {rule.speed} as many queries a second as Flat." if rule.speed else ""
    return (
        f"{takes}, and reached a recall of {rule.most:g} or more on every data set measured ({recall:g} is asked for). "
        f"Of what fits, the table has nothing faster.{speed}"
    )
